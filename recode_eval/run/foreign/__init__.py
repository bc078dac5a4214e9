"""Logs of other harnesses, read as runs: everything that compares stored runs takes them."""
