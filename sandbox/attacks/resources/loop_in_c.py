"""Loops in a single C function, where Python's signal handlers never get a turn.

Expect: not passed
"""

sum(range(10**15))
