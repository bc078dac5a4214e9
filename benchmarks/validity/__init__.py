"""The parts of `benchmarks/metric_validity.py`."""
