"""The ``gptcli`` command, also as ``python -m gptcli``: the command line in a process that starts and ends quickly."""

import atexit
import gc
import os
import sys
import threading
from contextlib import suppress

from gptcli.system.limits import limit_reached
from gptcli.system.trial import watch_imports

# Importing torch makes hundreds of thousands of objects; a garbage collection for every 700 of them
# takes a fifth of that time. Commands leave few cycles behind.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000
_INTERRUPTED = 130  # as shells say it: 128 and the number of the signal
# Made in advance: when it is needed there may be no memory left.
_NO_MEMORY = b"error: out of memory\n"


def run() -> None:
    """Run the command line and end the process."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        watch_imports()
        from gptcli.cli.app import main

        main()
    except SystemExit as done:
        if not isinstance(done.code, int) or threading.active_count() > 1:
            raise
        _leave(done.code)
    except KeyboardInterrupt:  # while modules are imported; later ``main`` handles it
        _leave(_INTERRUPTED)
    except (MemoryError, SystemError, OSError, ImportError) as error:
        _give_up(error)


def _give_up(error: BaseException) -> None:
    """Report a limit of the machine that ``main`` could not report; raise any other error again."""
    try:
        message = limit_reached(error)
        if message is None:
            raise error
        line = f"error: {message}\n".encode()
    except MemoryError:
        line = _NO_MEMORY
    os.write(2, line)
    os._exit(1)


def _leave(code: int) -> None:
    """End the process without freeing every object first, which can take longer than a command."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
