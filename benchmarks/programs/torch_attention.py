import torch

LENGTH = 12  # 4..48
WIDTH = 8  # 4..32
SEED = 1  # 1..100000

# %% candidate
def attention(query, key, value, causal=False):
    """Return scaled dot-product attention over (batch, length, width)."""
    scores = torch.bmm(query, key.transpose(1, 2)) / query.shape[-1] ** 0.5
    if causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)  # wrong: hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(2)
        scores = scores.masked_fill(hidden, float("-inf"))
    return torch.bmm(torch.softmax(scores, -1), value)


def inputs(length, width, seed):
    torch.manual_seed(seed)
    return torch.randn(2, length, width), torch.randn(2, length, width), torch.randn(2, length, width)


# %% test
def test_by_torch():
    q, k, v = inputs(LENGTH, WIDTH, SEED)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(attention(q, k, v), expected, atol=1e-5, rtol=1e-4)

# %% test (fails when wrong)
def test_causal():
    q, k, v = inputs(LENGTH, WIDTH, SEED)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(attention(q, k, v, causal=True), expected, atol=1e-5, rtol=1e-4)

# %% test (fails when wrong)
def test_first_position_sees_itself():
    q, k, v = inputs(LENGTH, WIDTH, SEED)
    assert torch.allclose(attention(q, k, v, causal=True)[:, 0], v[:, 0])

# %% test
def test_shape():
    q, k, v = inputs(LENGTH, WIDTH, SEED)
    assert attention(q[:, :2], k, v).shape == (2, 2, WIDTH)
