import numpy as np

LENGTH = 500  # 100..20000
WINDOW = 9  # 2..40

# %% candidate
def moving_average(values, window):
    """Return the mean of every `window` values in a row."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    return (sums[window:] - sums[:-window]) / window  # wrong: return (sums[window:] - sums[:-window]) / (window + 1)


# %% test (fails when wrong)
def test_by_convolution():
    values = np.sin(np.arange(LENGTH))
    expected = np.convolve(values, np.ones(WINDOW) / WINDOW, mode="valid")
    assert np.allclose(moving_average(values, WINDOW), expected, atol=1e-9)

# %% test (fails when wrong)
def test_constant():
    assert np.allclose(moving_average(np.full(LENGTH, 2.5), WINDOW), 2.5)

# %% test
def test_shape():
    assert moving_average(np.zeros(LENGTH), WINDOW).shape == (LENGTH - WINDOW + 1,)

# %% test
def test_type():
    assert moving_average(np.arange(LENGTH), WINDOW).dtype == np.float64
