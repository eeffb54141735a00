"""Edits a module that nodes use, in a notebook whose modules are loaded anew by themselves.

For `kernel.py`. python autoreload.py BACKEND FOLDER: prints what nodes made of it, as JSON.
"""

import importlib
import json
import os
import sys
from pathlib import Path

from motorpool import ParallelRunner, node, pipeline


def write(folder, text, seconds):
    """Write the module; as if so many seconds later, for tools go by time."""
    file = Path(folder, "motorpool_probe_edited.py")
    file.write_text(f"def version(x):\n    return {text!r}\n")
    os.utime(file, (seconds, file.stat().st_mtime + seconds))


def run(runner, module):
    nodes = [node(module.version, "x", "version")]
    return runner.run(pipeline(nodes), {"x": 1})["version"].load()


if __name__ == "__main__":
    backend, folder = sys.argv[1:]
    sys.dont_write_bytecode = True
    sys.path.insert(0, folder)
    notebook = get_ipython()  # noqa: F821, a kernel has it
    notebook.run_line_magic("load_ext", "autoreload")
    notebook.run_line_magic("autoreload", "2")
    write(folder, "old", 0)
    module = importlib.import_module("motorpool_probe_edited")
    notebook.run_line_magic("autoreload", "now")
    with ParallelRunner(backend, max_workers=1, runs_folder=False) as runner:
        found = [run(runner, module)]
        for number in (1, 2):
            write(folder, f"edited {number}", 10 * number)
            notebook.run_line_magic("autoreload", "now")
            found += [run(runner, module), module.version(1)]
    print(json.dumps(found))
