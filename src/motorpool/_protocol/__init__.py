"""What driver and workers say to each other, and the files in which they say it."""
