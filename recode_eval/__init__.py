"""Measure how well a language model writes code against changed APIs.

The package is a library first; `recode_eval.cli` is a thin layer over it. Importing it does no
work and loads nothing heavy: models, the hub client and the statistics load where they are used.
"""

__version__ = "0.1.0"
