"""How the processes that torchrun, or a user, started find one another: at a store that the first of them keeps.

torch would do it by itself, and would wait for days without a word, and without hearing Ctrl-C. Here the wait says what
it is for, ends after five minutes, and can be interrupted.
"""

import os
import socket
import time
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from gptcli.errors import GptcliError, InputError

_SAY_AFTER_S, _GIVE_UP_AFTER_S = 3.0, 300.0
_ARRIVED = "gptcli/arrived"
# How long a request to the store may take: while they meet, and from then on, when one may wait for another that loads.
_ANSWER, _LATER = timedelta(seconds=60), timedelta(minutes=30)


class _Patience:
    """How long one waits: says once what for, and ends it.

    Args:
        where: the processes are to meet.
    """

    def __init__(self, where: str) -> None:
        self._where, self._since, self._said = where, time.monotonic(), False

    def wait(self, missing: str) -> None:
        """A tenth of a second more.

        Args:
            missing: what is waited for, as a sentence.

        Raises:
            GptcliError: it was enough.
        """
        waited = time.monotonic() - self._since
        if waited > _GIVE_UP_AFTER_S:
            raise GptcliError(f"waited {waited:.0f} s at {self._where}: {missing}")
        if waited > _SAY_AFTER_S and not self._said:
            from gptcli.show.console import notice

            self._said = True
            notice(f"waiting at {self._where} (MASTER_ADDR, MASTER_PORT): {missing}")
        time.sleep(0.1)


def meet(rank: int, size: int) -> Any:
    """Wait until all processes are there.

    Args:
        rank: this process's number.
        size: how many there are to be.

    Returns:
        torch's store at which they met.

    Raises:
        InputError: ``MASTER_ADDR`` or ``MASTER_PORT`` is missing, or is none.
        GptcliError: not all came in time, or this process cannot keep the store.
    """
    host, port = _place()
    patience = _Patience(f"{host}:{port}")
    # The agents of torchrun keep the store themselves.
    keeps = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    if not keeps:
        while not _answers(host, port):
            patience.wait(f"process {rank} of {size} finds nobody there; the first (RANK=0) is to be")
    try:
        # The keeper listens to all, and reaches itself whatever name others have for it.
        name = "127.0.0.1" if keeps else host
        # torch documents it, and does not mark it as exported.
        store = dist.TCPStore(name, port, size, keeps, _ANSWER, wait_for_workers=False)  # type: ignore[attr-defined]
        arrived = store.add(_ARRIVED, 1)
        while arrived < size:
            ranks = f"RANK 0 to {size - 1} are to be, WORLD_SIZE={size}"
            patience.wait(f"{arrived} of {size} processes are there ({ranks})")
            arrived = store.add(_ARRIVED, 0)
        store.set_timeout(_LATER)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise GptcliError(f"process {rank} of {size} cannot meet the others at {host}:{port}: {reason}") from error
    return store


def _place() -> tuple[str, int]:
    host, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InputError(
            f"RANK and WORLD_SIZE say that this is one of several processes, but MASTER_ADDR={host:.100} and "
            f"MASTER_PORT={port:.100} do not say where they meet: start them with torchrun, or unset RANK"
        )
    return host, int(port)


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except (OSError, UnicodeError):  # UnicodeError: no name of a machine
        return False
