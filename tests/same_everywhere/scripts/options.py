"""Prints what a node and this script find of the interpreter's options, as JSON.

python OPTIONS options.py BACKEND
"""

import json
import sys
import warnings

from motorpool import ParallelRunner, node, pipeline

FLAGS = ("optimize", "dev_mode", "utf8_mode", "no_user_site", "safe_path")


def options(n):
    raised = 0
    try:
        warnings.warn("of the script", UserWarning, stacklevel=1)
    except UserWarning:
        raised = 1
    flags = [int(getattr(sys.flags, flag)) for flag in FLAGS]
    return [*flags, __debug__, sys.warnoptions, raised]


if __name__ == "__main__":
    result = ParallelRunner(sys.argv[1], max_workers=1, runs_folder=False).run(
        pipeline([node(options, "n", "found")]), {"n": 1}
    )
    print(json.dumps([result["found"].load(), options(1)]))
