"""Runs as pages and as traces: what ran where, when, and for how long."""
