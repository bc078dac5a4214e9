"""Rewards over HTTP: one sandbox for all processes of a machine, and its client."""
