"""`python -m recode_train.demo FOLDER`: SFT, GRPO and DAPO of a tiny model, on a CPU, compared."""

import sys

from recode_train.commands.demo import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
