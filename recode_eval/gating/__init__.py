"""The gate: decides whether a new checkpoint may replace the old one."""
