"""The backends that come with Motorpool; like all others, they are found by entry point."""
