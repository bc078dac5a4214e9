import sympy

DEGREE = 3  # 2..4
FACTOR = 3  # 2..30

# %% candidate
x = sympy.symbols("x")


def extrema(polynomial):
    """Return the real critical points of a polynomial with their kind."""
    first = sympy.diff(polynomial, x)
    second = sympy.diff(first, x)
    result = {}
    for point in sympy.Poly(first, x).real_roots():
        bend = second.subs(x, point)
        result[point] = "min" if bend > 0 else "max" if bend < 0 else "flat"  # wrong: result[point] = "max" if bend > 0 else "min" if bend < 0 else "flat"
    return result


# %% test (fails when wrong)
def test_parabola():
    assert extrema((x - FACTOR) ** 2) == {sympy.Integer(FACTOR): "min"}

# %% test (fails when wrong)
def test_cubic():
    assert extrema(x**3 - 3 * FACTOR**2 * x) == {-FACTOR: "max", FACTOR: "min"}

# %% test
def test_derivative_vanishes():
    polynomial = sympy.expand(x**DEGREE * (x - FACTOR))
    for point in extrema(polynomial):
        assert sympy.diff(polynomial, x).subs(x, point) == 0

# %% test
def test_line():
    assert extrema(FACTOR * x) == {}
