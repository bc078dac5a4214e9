"""pass@k: the chance that at least one of k samples passes, estimated from n of them."""

from __future__ import annotations

import math

_EXACT_UP_TO = 2_000


def pass_at_k(n: int, c: int, k: int) -> float | None:
    """Return 1 - C(n-c, k) / C(n, k) in [0, 1]; None where n < k, since it has no estimate there.

    `n` samples were drawn and graded, `c` of them passed. Exact to the last bit for n up to 2,000,
    to about 1e-12 beyond. Source: Chen et al. 2021, arXiv 2107.03374. Raises `ValueError` unless
    0 <= c <= n and k >= 1.
    """
    if k < 1 or not 0 <= c <= n:
        raise ValueError(f"pass@k needs 0 <= c <= n and k >= 1, not n={n}, c={c}, k={k}")
    if n < k:
        return None
    if n - c < k:
        return 1.0
    if n <= _EXACT_UP_TO:
        every = math.comb(n, k)
        return (every - math.comb(n - c, k)) / every
    # C(n-c, k) / C(n, k) is the product of 1 - c/(n-i) over k terms, or of 1 - k/(n-i) over c.
    few, many = sorted((c, k))
    return -math.expm1(math.fsum(math.log1p(-many / (n - i)) for i in range(few)))
