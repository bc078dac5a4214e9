"""Benchmarks: their data, their prompts' contexts and the programs that grade answers."""
