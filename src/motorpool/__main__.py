"""The command line, `motorpool` or `python -m motorpool`, from its first moment on."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any


def main() -> None:
    """Run a command; Ctrl-C or SIGTERM while its modules load ends it without a traceback."""
    starting = [
        (number, signal.signal(number, _end))
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    from motorpool.cli import load  # noqa: PLC0415, it takes 0.2 s to load
    from motorpool.cli import main as command_line  # noqa: PLC0415, as above

    load(sys.argv[1:])
    for number, handler in starting:
        signal.signal(number, handler)
    command_line()


def _end(number: int, _frame: Any) -> None:
    os.write(2, b"Interrupted.\n")
    os._exit(128 + number)  # nothing has been started that must be tidied up


if __name__ == "__main__":
    main()
