import bisect
import random

COUNT = 80  # 20..300
SPAN = 1000  # 300..5000

# %% candidate
def merged(intervals):
    """Return the union of closed intervals as sorted, disjoint ones."""
    result = []
    for low, high in sorted(intervals):
        if result and low <= result[-1][1]:
            result[-1][1] = max(result[-1][1], high)  # wrong: result[-1][1] = high
        else:
            result.append([low, high])
    return [tuple(pair) for pair in result]


def contains(disjoint, point):
    """True if one of the sorted, disjoint intervals holds the point."""
    index = bisect.bisect_right(disjoint, (point, float("inf"))) - 1
    return index >= 0 and disjoint[index][0] <= point <= disjoint[index][1]


# %% test (fails when wrong)
def test_nested():
    assert merged([(1, SPAN), (2, 3), (SPAN + 1, SPAN + 2)]) == [(1, SPAN), (SPAN + 1, SPAN + 2)]

# %% test
def test_touching():
    assert merged([(1, 2), (2, 5), (7, 8)]) == [(1, 5), (7, 8)]

# %% test (fails when wrong)
def test_against_points():
    source = random.Random(COUNT)
    starts = [source.randrange(SPAN) for _ in range(COUNT)]
    pairs = [(s, s + source.randrange(SPAN // 20 + 1)) for s in starts] + [(0, SPAN), (1, 2)]
    union = merged(pairs)
    for point in range(0, SPAN, 3):
        assert contains(union, point) == any(a <= point <= b for a, b in pairs)

# %% test
def test_empty():
    assert merged([]) == [] and not contains([], 1)
