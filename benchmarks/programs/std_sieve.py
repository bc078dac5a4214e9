import itertools
import math

LIMIT = 2000  # 300..20000

# %% candidate
def primes(limit):
    """Return the primes below `limit`."""
    marks = bytearray([1]) * limit
    marks[:2] = b"\0\0"
    for number in range(2, math.isqrt(limit) + 1):
        if marks[number]:
            marks[number * number :: number] = bytes(len(range(number * number, limit, number)))
    return list(itertools.compress(range(limit), marks))


def factors(number):
    """Return the prime factors in ascending order, as often as they occur."""
    found = []
    divisor = 2
    while divisor * divisor <= number:
        while not number % divisor:  # wrong: if not number % divisor:
            number //= divisor
            found.append(divisor)
        divisor += 1
    return found + [number] * (number > 1)


# %% test
def test_small():
    assert primes(30) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]

# %% test
def test_by_division():
    assert all(n % d for n in primes(LIMIT)[-40:] for d in range(2, math.isqrt(n) + 1))

# %% test (fails when wrong)
def test_factors_of_powers():
    assert factors(2**10 * 3) == [2] * 10 + [3]

# %% test
def test_factors_of_primes():
    assert all(factors(n) == [n] for n in primes(LIMIT)[-20:])
