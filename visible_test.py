def test_a():
    assert f('a') == 'aa'
test_a()
