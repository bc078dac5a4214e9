"""A study of ways to train, on a CPU: a model made from scratch, and a small real one."""
