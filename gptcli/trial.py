"""Large libraries under a limit on address space (``ulimit -v``): imported by a child first.

Where they get no memory, numpy's and torch's libraries end the process, each with a message of its own or with none,
and no ``except`` sees it. So where there is a limit a child imports them first, and what kills the child is told in one
line. Where there is none, which is the rule, nothing is tried.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from gptcli.errors import GptcliError
from gptcli.limits import allowed_memory, does_not_fit

# What a library takes at its first use, on top of what it takes to import, in bytes: OpenBLAS its buffers, without
# which it ends the process.
_FIRST_USE = {"numpy": 96 << 20, "torch": 100 << 20}
_FITS, _DOES_NOT_FIT = 0, 1


def watch_imports() -> None:
    """From now on numpy and torch are tried before they are imported, where address space is limited."""
    if allowed_memory() is not None:
        sys.meta_path.insert(0, _Trial())


class _Trial:
    """Asked by Python where a module is, before those that know."""

    def __init__(self) -> None:
        self._untried = set(_FIRST_USE)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """Nowhere, for all that is asked.

        Raises:
            GptcliError: the library does not fit into the memory that this process may have.
        """
        if name not in self._untried:
            return
        self._untried.discard(name)
        allowed = allowed_memory()
        if allowed is not None and not self._fits(name):
            self._untried.add(name)  # asked again, it fits no better
            raise GptcliError(does_not_fit(name, allowed))

    def _fits(self, name: str) -> bool:
        try:
            child = os.fork()
        except BlockingIOError:  # no more processes (ulimit -u)
            return True
        if child == 0:
            _try(name)
        return os.waitpid(child, 0)[1] == _FITS


def _try(name: str) -> None:
    """Import a library, and end the process with what came of it."""
    verdict = _FITS
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        import_module(name)
        import mmap

        mmap.mmap(-1, _FIRST_USE[name])
    except ModuleNotFoundError:  # it, or what it needs, is not installed: the parent tells
        pass
    except BaseException:  # without memory libraries fail in many ways
        verdict = _DOES_NOT_FIT
    finally:
        os._exit(verdict)
