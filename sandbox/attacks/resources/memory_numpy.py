"""Makes numpy arrays for ever; numpy asks the system for memory, not Python. Bounded: 8 GiB.

Expect: not passed
"""

import numpy

kept = []
for _ in range(128):
    kept.append(numpy.ones(8 << 20))
print("ESCAPED: took 8 GiB of memory", flush=True)
