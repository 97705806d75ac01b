"""How many threads compute where nobody says otherwise."""

import os
from pathlib import Path


def default_threads() -> int:
    """``OMP_NUM_THREADS`` where it is set, or one thread for each physical core that this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    return len({_core(cpu) for cpu in allowed})


def _core(cpu: int) -> str:
    """What tells the core of a processor apart; hardware threads of one core share it."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)
