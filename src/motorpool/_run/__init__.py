"""One run, from the checks to the results."""
