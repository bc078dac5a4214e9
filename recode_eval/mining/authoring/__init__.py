"""Writing migration pairs from mined candidates with a model, and keeping what execution proves."""
