"""Adapters by which other programs use the tasks, the sandbox and the grader of this one.

Each module imports its program when that program loads it, and is not imported otherwise.
"""
