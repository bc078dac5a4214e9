"""`python -m recode_train.accelerate NAME`: print the path of a configuration for `accelerate`."""

import sys

from recode_train.commands.accelerate import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
