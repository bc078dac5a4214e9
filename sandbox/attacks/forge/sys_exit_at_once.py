"""Leaves with `sys.exit(0)` while it is being defined.

Expect: not passed
"""

import sys

sys.exit(0)
