import torch
from torch import nn

WIDTH = 8  # 3..64
BATCH = 5  # 2..40
SEED = 3  # 1..100000

# %% candidate
class Norm(nn.Module):
    """Divides by the root mean square of the last dimension and scales."""

    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        power = x.pow(2).mean(-1, keepdim=True)  # wrong: power = x.pow(2).sum(-1, keepdim=True)
        return self.scale * x * torch.rsqrt(power + self.eps)


def network(width, seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), Norm(2 * width), nn.Linear(2 * width, 1))


# %% test (fails when wrong)
def test_power():
    torch.manual_seed(SEED)
    result = Norm(WIDTH)(torch.randn(BATCH, WIDTH) * 7)
    assert torch.allclose(result.pow(2).mean(-1), torch.ones(BATCH), atol=1e-3, rtol=0)

# %% test (fails when wrong)
def test_constant():
    assert torch.allclose(Norm(WIDTH)(torch.full((BATCH, WIDTH), 3.0)), torch.ones(BATCH, WIDTH))

# %% test
def test_learns():
    model = network(WIDTH, SEED)
    x = torch.randn(BATCH, WIDTH)
    y = x.sum(1, keepdim=True)
    losses = []
    for _ in range(4):
        value = nn.functional.mse_loss(model(x), y)
        model.zero_grad()
        value.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.01 * parameter.grad
        losses.append(value.item())
    assert losses[-1] < losses[0]

# %% test
def test_parameters():
    assert [p.shape for p in Norm(WIDTH).parameters()] == [(WIDTH,)]
