"""Which of the processes that torchrun started this one is, from the environment alone: no torch."""

import os


def world_size() -> int:
    """How many processes share the work; 1 where torchrun did not start this one."""
    return max(_number("WORLD_SIZE", 1), 1) if "RANK" in os.environ else 1


def rank() -> int:
    """This process's number, from 0."""
    return _number("RANK", 0) if world_size() > 1 else 0


def local_rank() -> int:
    """This process's number among those on the same machine, from 0: the GPU it takes."""
    return _number("LOCAL_RANK", rank())


def is_worker() -> bool:
    """Whether this process only computes what the first one asks for, and reads and prints nothing itself."""
    return rank() > 0


def _number(name: str, default: int) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else default
