"""`python -m recode_eval` is the same as `recode-eval`."""

from recode_eval.cli import main

if __name__ == "__main__":
    main()
