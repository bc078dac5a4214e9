"""Estimates, paired and sequential tests: pure functions of numbers."""
