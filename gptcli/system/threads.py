"""How many threads compute: as many as are asked for, and no more than this process may run at once."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc/self")


def default_threads() -> int:
    """``OMP_NUM_THREADS`` where it is set, or one thread for each physical core that this process may use.

    Never more than ``usable_processors``: threads beyond those only wait for one another. Of a list (OpenMP's levels of
    nesting) the first number counts; a value that is no number from 1 on is ignored, as OpenMP ignores it.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    wanted = float(asked) if asked.isdecimal() else 0.0  # however many digits: a float does not mind
    cores = len({_core(cpu) for cpu in _allowed()})
    return int(min(wanted if wanted >= 1 else cores, usable_processors()))


def usable_processors() -> int:
    """The processors that this process may run on at once: those of its affinity mask, within its groups' quotas.

    A quota is rounded: threads that use 1.5 processors' time get more done as two that are stopped now and then.
    """
    quota = cpu_quota()
    return len(_allowed()) if quota is None else max(1, min(len(_allowed()), int(quota + 0.5)))


def limit_torch_threads() -> None:
    """Let PyTorch compute with ``default_threads`` at most; a program that told it to take fewer is obeyed."""
    import torch

    most = default_threads()
    if torch.get_num_threads() > most:
        torch.set_num_threads(most)


def cpu_quota(proc: Path = _PROC) -> float | None:
    """The smallest quota of the process's control groups and those above them, in processors; None: there is none.

    Args:
        proc: the process's folder in /proc.
    """
    quotas = [quota for folder, top in _cpu_groups(proc) for group in _upwards(folder, top) for quota in _quota(group)]
    return min(quotas, default=None)


def _allowed() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _core(cpu: int) -> str:
    """What tells the core of a processor apart; hardware threads of one core share it."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def _cpu_groups(proc: Path) -> Iterator[tuple[Path, Path]]:
    """The folders of the process's groups that may have a quota, in cgroup v1 and v2, each with its hierarchy's top.

    A line of ``cgroup`` is ``4:cpu,cpuacct:/path``, in version 2 ``0::/path``; one of ``mountinfo`` has the root and
    the mount point as its fourth and fifth words, and behind a dash the type, the source and the options.
    """
    paths: dict[str, str] = {}
    for line in _lines(proc / "cgroup"):
        _, names, path = line.split(":", 2)
        paths |= {name: path for name in names.split(",") if name in ("", "cpu")}
    for line in _lines(proc / "mountinfo"):
        with suppress(ValueError, IndexError):  # a line that is no line of mountinfo
            before, behind = (part.split() for part in line.split(" - ", 1))
            name = "" if behind[0] == "cgroup2" else "cpu"
            if behind[0] in ("cgroup", "cgroup2") and name in paths and (not name or "cpu" in behind[2].split(",")):
                root, top = (word.replace("\\040", " ") for word in before[3:5])
                inside = os.path.relpath(paths[name], root)
                yield Path(top) if inside.startswith("..") else Path(top, inside), Path(top)


def _upwards(folder: Path, top: Path) -> list[Path]:
    return [group for group in (folder, *folder.parents) if group.is_relative_to(top)]


def _quota(group: Path) -> Iterator[float]:
    """What ``cpu.max`` says ("150000 100000", or "max 100000"), or version 1's two files (-1: none)."""
    words = [word for line in _lines(group / "cpu.max") for word in line.split()]
    for file in ("cpu.cfs_quota_us", "cpu.cfs_period_us") if not words else ():
        words += _lines(group / file)
    with suppress(ValueError, ZeroDivisionError):
        quota, period = map(int, words)
        if quota > 0 and period > 0:
            yield quota / period


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []
