"""Makes empty files without end. Bounded: 300,000.

Expect: not passed
"""

import os

count = 0
try:
    for number in range(300_000):
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY))
        count += 1
    print("ESCAPED: made", count, "files", flush=True)
except OSError:
    pass
