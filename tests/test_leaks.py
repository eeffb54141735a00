"""The check after each test that nothing is left behind."""

import pytest

pytest_plugins = "pytester"

LEAKS = {
    "process": "subprocess.Popen(['sleep', '5'])",
    "process of a thread": (
        "thread = threading.Thread(target=subprocess.Popen, args=(['sleep', '5'],))\n"
        "    thread.start(); thread.join()"
    ),
    "thread": "threading.Thread(target=threading.Event().wait, daemon=True, name='x').start()",
    "descriptor": "os.open(os.devnull, os.O_RDONLY)",
}


@pytest.mark.parametrize("leak", LEAKS)
def test_what_a_test_leaves_behind_is_a_failure(pytester, request, leak):
    """A process of its own or of a child, a thread, a descriptor."""
    conftest = (request.config.rootpath / "conftest.py").read_text()
    pytester.makeconftest(conftest.replace("_PATIENCE = 60.0", "_PATIENCE = 0.5"))
    pytester.makepyfile(
        "import os, subprocess, threading\n"
        f"def test_leaves():\n    {LEAKS[leak]}\n"
        "def test_leaves_nothing():\n    pass\n"
    )
    tools = str(request.config.rootpath / "tools")
    found = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-o", f"pythonpath={tools}")
    found.assert_outcomes(passed=2, errors=1)
    assert "left behind" in found.stdout.str()
