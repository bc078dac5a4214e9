"""Reads from address 0.

Expect: not passed
"""

import ctypes

ctypes.string_at(0)
