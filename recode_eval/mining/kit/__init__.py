"""A folder for the maintainers of a library: what models know of an update."""
