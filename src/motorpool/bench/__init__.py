"""Measures backends: on the user's own pipeline, and on standard graphs."""
