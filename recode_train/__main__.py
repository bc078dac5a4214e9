"""`python -m recode_train` is the same as `recode-train`."""

from recode_train.cli import main

if __name__ == "__main__":
    main()
