"""Decides what runs next, sends it to workers, and deals with what comes back."""
