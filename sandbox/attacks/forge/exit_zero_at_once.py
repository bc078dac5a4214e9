"""Ends the process with status 0 before any test, for judges that look at the exit status.

Expect: not passed
"""

import os

os._exit(0)
