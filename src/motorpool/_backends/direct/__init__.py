"""Worker processes of our own, each with a pipe of its own."""
