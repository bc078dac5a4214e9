import numpy as np

POINTS = 30  # 8..150
SEED = 1  # 1..100000

# %% candidate
def distances(a, b):
    """Return the Euclidean distances between all rows of `a` and all rows of `b`."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T  # wrong: squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - a @ b.T
    return np.sqrt(np.maximum(squares, 0))


def nearest(a, b):
    """Return for every row of `a` the index of the nearest row of `b`."""
    return distances(a, b).argmin(1)


# %% test (fails when wrong)
def test_by_norm():
    source = np.random.default_rng(SEED)
    a, b = source.normal(size=(POINTS, 3)), source.normal(size=(POINTS + 1, 3))
    expected = np.linalg.norm(a[:, None] - b[None], axis=-1)
    assert np.allclose(distances(a, b), expected, atol=1e-7)

# %% test (fails when wrong)
def test_to_itself():
    a = np.random.default_rng(SEED).normal(size=(POINTS, 2))
    assert (nearest(a, a) == np.arange(POINTS)).all() and np.allclose(np.diag(distances(a, a)), 0, atol=1e-6)

# %% test
def test_shape():
    assert distances(np.ones((POINTS, 4)), np.ones((5, 4))).shape == (POINTS, 5)

# %% test
def test_from_the_origin():
    a = np.random.default_rng(SEED).normal(size=(POINTS, 2))
    assert np.allclose(distances(a, np.zeros((1, 2)))[:, 0], np.hypot(*a.T))
