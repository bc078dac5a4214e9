"""The content of the files this package writes for others, as types; JSON Schemas are made of them.

`results.json` is `results.Results`, `verdict.json` is `verdict.VerdictFile`, and what `recode-eval
compare --json` prints is `comparison.ComparisonOutput`. `python -m recode_eval.schemas` writes the
JSON Schemas beside these modules anew.
"""
