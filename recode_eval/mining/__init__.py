"""From two releases of a library to candidates, and from those to proven migration pairs."""
