import torch

SIZE = 7  # 3..24
SEED = 4  # 1..100000

# %% candidate
def traces(matrices):
    """Return the trace of each matrix of a batch."""
    return torch.einsum("bii->b", matrices)  # wrong: return torch.einsum("bij->b", matrices)


def chain(matrices):
    """Return the product of all matrices of a batch, in order."""
    result = torch.eye(matrices.shape[-1], dtype=matrices.dtype)
    for matrix in matrices:
        result = result @ matrix
    return result


def batch(size, seed):
    return torch.randn(5, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# %% test (fails when wrong)
def test_traces():
    matrices = batch(SIZE, SEED)
    assert torch.allclose(traces(matrices), torch.stack([m.trace() for m in matrices]))

# %% test
def test_traces_of_diagonals():
    assert traces(torch.eye(SIZE).repeat(3, 1, 1)).tolist() == [SIZE] * 3

# %% test
def test_chain():
    matrices = batch(SIZE, SEED)
    assert torch.allclose(chain(matrices), torch.linalg.multi_dot(list(matrices)))

# %% test
def test_determinants():
    matrices = batch(SIZE, SEED)
    assert torch.allclose(torch.linalg.det(chain(matrices)), torch.linalg.det(matrices).prod())
