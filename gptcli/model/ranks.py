"""Rank and world size of this process, from torchrun's environment variables; without torch."""

import os


def world_size() -> int:
    """Number of processes; 1 where torchrun did not start this one."""
    return max(_number("WORLD_SIZE", 1), 1) if "RANK" in os.environ else 1


def rank() -> int:
    """Rank of this process, from 0."""
    return _number("RANK", 0) if world_size() > 1 else 0


def local_rank() -> int:
    """Rank of this process among those on the same machine, from 0; also the index of its GPU."""
    return _number("LOCAL_RANK", rank())


def is_worker() -> bool:
    """Whether this process only follows rank 0, and reads and prints nothing itself."""
    return rank() > 0


def _number(name: str, default: int) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else default
