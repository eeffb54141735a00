"""What a worker runs: a script of executorlib's, after what has to come before it.

Arguments: the script, `sys.path` and the initializer, both pickled, and what the script takes.
"""

import pickle
import runpy
import sys

if __name__ == "__main__":
    script, path, initializer = sys.argv[1:4]
    sys.path[:] = pickle.loads(bytes.fromhex(path))  # from the driver
    pickle.loads(bytes.fromhex(initializer))()
    sys.argv[:] = [script, *sys.argv[4:]]
    runpy.run_path(script, run_name="__main__")
