"""Exceptions arrive as they were raised, whatever their classes let be done to them."""


def test_exceptions_arrive_as_they_were_raised(process_backend, script):
    """Frozen, slotted, with a cause, in groups; what cannot be pickled of one is described."""
    found, wanted = (script("exceptions.py", name) for name in (process_backend, "sequential"))
    assert wanted["frozen"]["type"] == "Frozen"
    argument = found.pop("argument"), wanted.pop("argument")
    assert found == wanted
    assert [a["type"] for a in argument] == ["ValueError"] * 2
    assert argument[0]["args"][0] == "with a lock"
    assert "_thread.lock" in argument[0]["args"][1]
