"""Settings of the process are the same in a node and here, and each run has its own."""


def test_settings_of_the_process_are_the_same_in_nodes(any_backend, script, tmp_path):
    """All of them set, and again between two runs; a node does not see what another one sets."""
    first, after, second, again = script("settings.py", any_backend, tmp_path)
    assert first == after
    assert second == again
    folder = {"folder": "inner"}, {"folder": tmp_path.name}
    common = {
        "numpy printing": "[0.333]", "recursion": 2345, "digits": 9999, "path": True,
        "files": 500, "locale": "C", "method": "spawn", "level": 12, "warned": 1,
    }  # fmt: skip
    errors = {"over": "warn", "under": "ignore", "invalid": "warn"}
    assert first == common | folder[0] | {
        "decimal": 52, "numpy errors": errors | {"divide": "raise"}, "pandas": [7, 6],
        "argv": [], "environment": {"PROBE_OLD": "old"}, "mask": 0o027, "raised": True,
        "context": ["of the script", "unset", ["good morning"]],
    }  # fmt: skip
    assert second == common | folder[1] | {
        "decimal": 22, "numpy errors": errors | {"divide": "warn"}, "pandas": [60, 2],
        "argv": ["more"], "environment": {"PROBE_NEW": "new"}, "mask": 0o022, "raised": False,
        "context": ["of the second run", "set", ["good evening"]],
    }  # fmt: skip
