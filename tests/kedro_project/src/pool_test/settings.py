"""Settings of the project: its hooks, one of which cannot be pickled."""

from pool_test.hooks import CountingHooks, LockedHooks

HOOKS = (CountingHooks(), LockedHooks())
