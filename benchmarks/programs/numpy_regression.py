import numpy as np

ROWS = 60  # 20..600
COLUMNS = 4  # 2..12
SEED = 3  # 1..100000

# %% candidate
def fit(x, y, ridge=0.0):
    """Return intercept and slopes of the least-squares fit; the intercept is not shrunk."""
    design = np.column_stack([np.ones(len(x)), x])
    penalty = ridge * np.eye(design.shape[1])
    penalty[0, 0] = 0.0  # wrong: penalty[0, 0] = 2 * ridge
    return np.linalg.solve(design.T @ design + penalty, design.T @ y)


# %% test
def test_exact():
    x = np.random.default_rng(SEED).normal(size=(ROWS, COLUMNS))
    y = 2.0 + x @ np.arange(1.0, COLUMNS + 1)
    assert np.allclose(fit(x, y), np.r_[2.0, np.arange(1.0, COLUMNS + 1)], atol=1e-8)

# %% test
def test_by_lstsq():
    source = np.random.default_rng(SEED)
    x, y = source.normal(size=(ROWS, COLUMNS)), source.normal(size=ROWS)
    design = np.column_stack([np.ones(ROWS), x])
    np.testing.assert_allclose(fit(x, y), np.linalg.lstsq(design, y, rcond=None)[0], atol=1e-8)

# %% test (fails when wrong)
def test_intercept_is_not_shrunk():
    x = np.tile([1.0, -1.0], ROWS)[:, None]
    y = np.full(2 * ROWS, 10.0)
    assert abs(fit(x, y, ridge=100.0)[0] - 10) < 1e-9

# %% test
def test_shrinks():
    source = np.random.default_rng(SEED)
    x = source.normal(size=(ROWS, COLUMNS))
    y = x @ np.ones(COLUMNS)
    assert np.abs(fit(x, y, ridge=1e6)[1:]).max() < 0.1
