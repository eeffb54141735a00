"""One dataset: what it is, in memory, and in a file."""
