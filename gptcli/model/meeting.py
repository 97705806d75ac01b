"""The rendezvous of the processes that torchrun or a user started, at a TCPStore that rank 0 serves.

torch's own rendezvous waits for days, prints nothing, and ignores Ctrl-C. This one prints what it waits for, gives up
after five minutes, and can be interrupted.
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
# Timeouts of a request to the store: during the rendezvous, and afterwards, when a rank may wait for another's loading.
_ANSWER, _LATER = timedelta(seconds=60), timedelta(minutes=30)


class _Patience:
    """A wait with a timeout, which prints once what it waits for.

    Args:
        where: address of the rendezvous.
    """

    def __init__(self, where: str) -> None:
        self._where, self._since, self._said = where, time.monotonic(), False

    def wait(self, missing: str) -> None:
        """Sleep a tenth of a second.

        Args:
            missing: what is missing, as a sentence.

        Raises:
            GptcliError: the timeout has passed.
        """
        waited = time.monotonic() - self._since
        if waited > _GIVE_UP_AFTER_S:
            raise GptcliError(f"waited {waited:.0f} s at {self._where}: {missing}")
        if waited > _SAY_AFTER_S and not self._said:
            from gptcli.system.notices import notice

            self._said = True
            notice(f"waiting at {self._where} (MASTER_ADDR, MASTER_PORT): {missing}")
        time.sleep(0.1)


def meet(rank: int, size: int) -> Any:
    """Wait until all processes have arrived.

    Args:
        rank: this process's rank.
        size: number of processes.

    Returns:
        torch's store, to which all are connected.

    Raises:
        InputError: ``MASTER_ADDR`` or ``MASTER_PORT`` is missing or invalid.
        GptcliError: not all arrived in time, or this process cannot serve the store.
    """
    host, port = _place()
    patience = _Patience(f"{host}:{port}")
    # torchrun's agents can serve the store themselves.
    keeps = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    if not keeps:
        while not _answers(host, port):
            patience.wait(f"process {rank} of {size} finds nobody there; the first (RANK=0) is to be")
    try:
        # The server listens on all interfaces, and connects to itself by loopback, whatever name the others use.
        name = "127.0.0.1" if keeps else host
        # torch documents TCPStore, but does not mark it as exported.
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
    except (OSError, UnicodeError):  # UnicodeError: not a valid host name
        return False
