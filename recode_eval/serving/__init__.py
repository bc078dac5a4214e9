"""Rewards over HTTP: one sandbox for all processes of a machine, and the client that speaks to it."""
