"""Open MPI as root, as in a container of CI: two variables allow it."""

import os

if hasattr(os, "geteuid") and os.geteuid() == 0:
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")


def pytest_collection_modifyitems(config, items):
    """Leave out what depends neither on MPI nor on where ranks are: others have it."""
    left_out = [
        item
        for item in items
        if getattr(getattr(item, "cls", None), "__name__", "") == "TestElsewhere"
        and getattr(item.function, "motorpool_level", "") in {"core", "data"}
    ]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
