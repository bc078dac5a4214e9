"""Two or more stored runs: what may be compared, paired differences, pooling of seeds."""
