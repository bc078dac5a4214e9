"""Computes a power with billions of digits in one C call that holds the interpreter lock.

Expect: not passed
"""

3 ** (10**9)
