"""pass@k: the chance that at least one of k samples passes, estimated from n; its variance."""

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


def pass_at_k_variance(n: int, passed: int, k: int = 1) -> float | None:
    """Return the variance of pass@k of one problem over its samples; None for n <= k.

    It is the jackknife over samples (Efron and Stein 1981, section 2), never too small on average;
    for k = 1 it is the unbiased p(1-p) / (n-1). Raises `ValueError` as `pass_at_k`.

    >>> pass_at_k_variance(2, 1), pass_at_k_variance(10, 10), pass_at_k_variance(1, 1)
    (0.25, 0.0, None)
    """
    if pass_at_k(n, passed, k) is None or n <= k:
        return None
    with_pass = pass_at_k(n - 1, max(passed - 1, 0), k)
    with_failure = pass_at_k(n - 1, min(passed, n - 1), k)
    assert with_pass is not None
    assert with_failure is not None
    # Leaving a pass out gives one value, leaving a failure out the other.
    return (n - 1) / n * passed * (n - passed) / n * (with_failure - with_pass) ** 2
