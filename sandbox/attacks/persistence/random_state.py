"""Sets the random generators to a state it knows.

Expect: contained
"""

import random

import numpy

random.seed(1234)
numpy.random.seed(1234)
random._inst.__dict__.clear()
