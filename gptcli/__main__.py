"""The ``gptcli`` command, also as ``python -m gptcli``: the command line in a process that starts and ends quickly."""

import atexit
import gc
import os
import sys
import threading
from contextlib import suppress

# torch makes hundreds of thousands of objects when it is imported, and to look for cycles among them every 700 objects
# takes a fifth of that time. Commands leave few cycles behind.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000


def run() -> None:
    """Run the command line and leave."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    from gptcli.cli import main

    try:
        main()
    except SystemExit as done:
        if not isinstance(done.code, int) or threading.active_count() > 1:
            raise
        _leave(done.code)


def _leave(code: int) -> None:
    """End the process without taking it apart: to free every object first can take longer than to run a command."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
