import numpy as np

SIZE = 20  # 5..60
SEED = 5  # 1..100000

# %% candidate
def largest(matrix, rounds=500):
    """Return the largest eigenvalue (by size) of a symmetric matrix and its vector."""
    vector = np.ones(len(matrix)) + np.arange(len(matrix)) / 7
    for _ in range(rounds):
        following = matrix @ vector
        following /= np.linalg.norm(following)
        if abs(following - vector).max() < 1e-10:
            break
        vector = following
    return vector @ matrix @ vector, vector  # wrong: return abs(vector @ matrix @ vector) + 1, vector


def symmetric(size, seed):
    base, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))
    values = np.r_[10.0, np.linspace(0, 5, size - 1)]
    return base @ np.diag(values) @ base.T


# %% test (fails when wrong)
def test_by_eigh():
    matrix = symmetric(SIZE, SEED)
    assert abs(largest(matrix)[0] - np.linalg.eigvalsh(matrix)[-1]) < 1e-6

# %% test
def test_length():
    assert abs(np.linalg.norm(largest(symmetric(SIZE, SEED))[1]) - 1) < 1e-9

# %% test (fails when wrong)
def test_diagonal():
    assert abs(largest(np.diag(np.arange(1.0, SIZE)))[0] - (SIZE - 1)) < 1e-6

# %% test
def test_shape():
    assert largest(np.eye(SIZE))[1].shape == (SIZE,)
