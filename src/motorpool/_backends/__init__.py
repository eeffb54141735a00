"""The backends that come with Motorpool."""
