from decimal import Decimal, localcontext
from fractions import Fraction
from math import gcd, isqrt

ROOT = 7  # 2..96
TERMS = 20  # 8..60

# %% candidate
def continued(n, terms):
    """Return the first terms of the continued fraction of the square root of `n`."""
    whole = isqrt(n)
    result, m, d, a = [whole], 0, 1, whole
    while len(result) < terms and d:
        m = d * a - m
        d = (n - m * m) // d
        if not d:
            break
        a = (whole + m) // d
        result.append(a)
    return result


def value(terms):
    """Return the fraction that the terms stand for."""
    result = Fraction(terms[-1])
    for term in reversed(terms[:-1]):
        result = term + 1 / result  # wrong: result = term + 2 / result
    return result


# %% test
def test_known():
    assert continued(23, 9) == [4, 1, 3, 1, 8, 1, 3, 1, 8]

# %% test (fails when wrong)
def test_converges():
    found = value(continued(ROOT * ROOT + 1, TERMS))
    assert abs(found * found - (ROOT * ROOT + 1)) < Fraction(1, 10**6)

# %% test (fails when wrong)
def test_digits():
    with localcontext() as context:
        context.prec = 40
        found = value(continued(ROOT * ROOT + 2, TERMS))
        exact = Decimal(ROOT * ROOT + 2).sqrt()
        assert abs(Decimal(found.numerator) / found.denominator - exact) < Decimal("1e-3")

# %% test
def test_reduced():
    found = value([ROOT, 2, 3, TERMS])
    assert gcd(found.numerator, found.denominator) == 1
