"""Start the spawner: `python <this file>`; the supervisor started it and is on descriptor 3."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - start-up

from recode_program.spawner import main

main()
