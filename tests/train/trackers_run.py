"""Run by test_trackers: the command line, with the packages of another environment behind ours."""

import sys

if __name__ == "__main__":
    sys.path.append(sys.argv[1])
    from recode_train import cli

    sys.exit(cli.run(sys.argv[2:]))
