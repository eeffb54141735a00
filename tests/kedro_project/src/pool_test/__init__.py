"""A project for tests."""

__version__ = "0.1"
