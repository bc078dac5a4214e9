"""Run a task: configuration, generation, grading, records and results."""
