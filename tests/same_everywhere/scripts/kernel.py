"""Runs another script as two cells of a notebook's kernel: what it defines, and its main part."""

import sys
from pathlib import Path

from jupyter_client.manager import start_new_kernel

MAIN = '\n\nif __name__ == "__main__":'


def main(script, *arguments):
    definitions, start = (Path(__file__).parent / script).read_text().split(MAIN)
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=300)
    try:
        for cell in (definitions, f"sys.argv = {['', *arguments]}{MAIN}{start}"):
            answer = client.execute_interactive(cell, output_hook=show, timeout=300)
            if answer["content"]["status"] != "ok":
                sys.exit("\n".join(answer["content"]["traceback"]))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def show(message):
    """What the kernel prints, as a process does."""
    content = message["content"]
    if message["msg_type"] == "stream":
        {"stdout": sys.stdout, "stderr": sys.stderr}[content["name"]].write(content["text"])


main(*sys.argv[1:])
