import torch

SIZE = 10  # 3..40
SEED = 2  # 1..100000

# %% candidate
def loss(weights, x, y):
    """Return the mean logistic loss of a linear classifier with labels -1 and 1."""
    return torch.nn.functional.softplus(-y * (x @ weights)).mean()


def gradient(weights, x, y):
    """Return the gradient of `loss`, by hand."""
    inner = torch.sigmoid(-y * (x @ weights))
    return -(x * (y * inner)[:, None]).mean(0)  # wrong: return (x * (y * inner)[:, None]).mean(0)


def problem(size, seed):
    torch.manual_seed(seed)
    x = torch.randn(4 * size, size, dtype=torch.float64)
    return torch.randn(size, dtype=torch.float64), x, torch.sign(x.sum(1) + 1e-9)


# %% test (fails when wrong)
def test_by_autograd():
    weights, x, y = problem(SIZE, SEED)
    weights.requires_grad_()
    loss(weights, x, y).backward()
    assert torch.allclose(gradient(weights, x, y).detach(), weights.grad)

# %% test (fails when wrong)
def test_descent():
    weights, x, y = problem(SIZE, SEED)
    before = loss(weights, x, y)
    for _ in range(10):
        weights = weights - 0.01 * gradient(weights, x, y)
    assert loss(weights, x, y) < before

# %% test
def test_at_zero():
    _, x, y = problem(SIZE, SEED)
    assert abs(loss(torch.zeros(SIZE, dtype=torch.float64), x, y).item() - 0.6931471805599453) < 1e-12

# %% test
def test_shape():
    weights, x, y = problem(SIZE, SEED)
    assert gradient(weights, x, y).shape == weights.shape
