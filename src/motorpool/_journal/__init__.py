"""Runs on disk: what they write while they run, and what a later one reads."""
