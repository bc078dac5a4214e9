"""Loops for ever while it is being defined.

Expect: not passed
"""

while True:
    pass
