"""The optimizer Muon in single precision, for small models on a CPU.

`torch.optim.Muon` works in bfloat16, which a CPU without instructions for it emulates: there, two
thirds of the time of a step were spent in products of 128 x 128 matrices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOMENTUM: Final = 0.95
_ROUNDS: Final = 5
_LINEAR, _CUBIC, _QUINTIC = 3.4445, -4.7750, 2.0315
"""Coefficients of Jordan et al. (2024): five rounds bring singular values of 0.01 to 1 near 1."""


class Muon:
    """Nesterov momentum, orthogonalised; used like an optimizer of torch.

    The step of a tall matrix is larger, by the root of its height over its width, so that the rate
    means the same for every shape.
    """

    def __init__(self, matrices: Iterable[Any], rate: float) -> None:
        """Take parameters of two dimensions, and how far a step moves them."""
        self._matrices = list(matrices)
        self._momentum: dict[int, Any] = {}
        self.param_groups: list[dict[str, Any]] = [{"lr": rate}]

    def step(self) -> None:
        """Move every matrix that has a gradient."""
        import torch

        rate = self.param_groups[0]["lr"]
        with torch.no_grad():
            for number, weight in enumerate(self._matrices):
                if weight.grad is None:
                    continue
                momentum = self._momentum.setdefault(number, torch.zeros_like(weight.grad))
                momentum.lerp_(weight.grad, 1 - _MOMENTUM)
                direction = orthogonalize(weight.grad.lerp(momentum, _MOMENTUM))
                height, width = weight.shape
                weight.add_(direction, alpha=-rate * max(1, height / width) ** 0.5)

    def zero_grad(self, *, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for weight in self._matrices:
            if set_to_none:
                weight.grad = None
            elif weight.grad is not None:
                weight.grad.zero_()


def orthogonalize(matrix: Any) -> Any:
    """Return a matrix with the same singular vectors and singular values near 1.

    An iteration of products, no decomposition. The singular values come out between 0.6 and 1.3
    where they were at least a hundredth of the matrix's norm.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    current = matrix.T if tall else matrix
    current = current / current.norm().clamp(min=1e-7)
    for _ in range(_ROUNDS):
        square = current @ current.T
        current = _LINEAR * current + (_CUBIC * square + _QUINTIC * square @ square) @ current
    return current.T if tall else current
