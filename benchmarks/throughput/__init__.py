"""The parts of `benchmarks/sandbox_throughput.py`."""
