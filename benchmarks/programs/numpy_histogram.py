import numpy as np

SIDE = 24  # 8..120
LEVELS = 16  # 4..64

# %% candidate
def equalised(image, levels):
    """Spread the grey levels of an image of integers so that all are used equally often."""
    counts = np.bincount(image.ravel(), minlength=levels)
    share = np.cumsum(counts) / image.size  # wrong: share = np.cumsum(counts) / image.shape[0]
    return np.floor(share * (levels - 1) + 0.5).astype(int)[image]


def gradient(side, levels):
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    return (x * y * levels // (side * side)).astype(int)


# %% test (fails when wrong)
def test_range():
    image = equalised(gradient(SIDE, LEVELS), LEVELS)
    assert image.min() >= 0 and image.max() == LEVELS - 1

# %% test
def test_order_is_kept():
    before = gradient(SIDE, LEVELS).ravel()
    after = equalised(gradient(SIDE, LEVELS), LEVELS).ravel()
    assert (np.diff(after[np.argsort(before, kind="stable")]) >= 0).all()

# %% test (fails when wrong)
def test_one_level():
    assert (equalised(np.zeros((SIDE, SIDE), int), LEVELS) == LEVELS - 1).all()

# %% test
def test_shape():
    assert equalised(gradient(SIDE, LEVELS), LEVELS).shape == (SIDE, SIDE)
