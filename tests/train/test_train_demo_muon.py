"""The demonstration's optimizer does what torch's does, in single precision."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from recode_train.demo.muon import Muon, orthogonalize  # noqa: E402


@pytest.mark.parametrize("shape", [(24, 24), (48, 16), (16, 48)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before = torch.linalg.svd(matrix)
    result = orthogonalize(matrix)
    values = torch.linalg.svdvals(result)
    large = before.S / before.S.norm() > 0.01
    assert large.sum() >= min(shape) - 1
    assert values[: int(large.sum())].min() > 0.6
    assert values.max() < 1.3
    # The same directions: what is left over is positive and diagonal between the singular vectors.
    rest = before.U.T @ result @ before.Vh.T
    rank = min(shape)
    off = rest[:rank, :rank] - torch.diag(rest.diagonal())
    assert off.abs().max() < 1e-3


def test_steps_are_those_of_torch() -> None:
    """They differ by the rounding of bfloat16 alone, which torch's works in."""
    optimizer = getattr(torch.optim, "Muon", None)
    if optimizer is None:
        pytest.skip("this torch has no Muon")
    draw = torch.Generator().manual_seed(1)
    start = torch.randn((24, 12), generator=draw)
    gradients = [torch.randn((24, 12), generator=draw) for _ in range(4)]
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    mine = Muon([ours], 0.05)
    reference = optimizer([theirs], lr=0.05, weight_decay=0.0)
    for gradient in gradients:
        for one, step in ((ours, mine), (theirs, reference)):
            one.grad = gradient.clone()
            step.step()
            step.zero_grad(set_to_none=True)
            assert one.grad is None
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.03 * moved
