"""A regular expression that backtracks exponentially.

Expect: not passed
"""

import re

re.match(r"(a|a)*b", "a" * 100)
