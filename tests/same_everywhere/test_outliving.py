"""What a node has started ends with its worker."""


def test_processes_that_nodes_start_end_with_the_run(process_backend, script):
    """Those of joblib, of executors and pools that are never shut down, and commands."""
    found = script("outliving.py", process_backend, start_new_session=True)
    assert found == {"found": [[0, 1, 4, 9]] * 4, "left": [], "soon": True}
