"""Memory: how much was held; and running out of it, told from other failures, with what would fit."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gptcli.errors import GptcliError
from gptcli.model.config import GPTConfig
from gptcli.model.shapes import parameter_shapes
from gptcli.show.text import size

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# What torch says beside its OutOfMemoryError, which only GPUs raise.
_SIGNS = ("can't allocate memory", "Cannot allocate memory", "not enough memory", "out of memory")
GENERAL = "out of memory: try a smaller model, --dtype bfloat16, or a shorter text"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, numpy or torch could not get memory, on whichever device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def explained(config: GPTConfig, device: str, dtype: str, *, rows: int = 0, capacity: int = 0) -> Iterator[None]:
    """Turn running out of memory into an error that says what was needed and what would need less.

    Args:
        config: of the model.
        device: where it is, or is to be.
        dtype: its precision, such as ``float32``.
        rows: texts that are worked on at once; 0 while the model is being loaded.
        capacity: tokens that the key/value cache holds of each.

    Raises:
        GptcliError: there was not enough memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise GptcliError(_advice(config, device, dtype, rows, capacity)) from error


def _advice(config: GPTConfig, device: str, dtype: str, rows: int, capacity: int) -> str:
    count = sum(math.prod(shape) for shape in parameter_shapes(config).values())
    cached = 2 * config.n_layer * rows * capacity * config.n_embd  # keys and values

    def needed(name: str) -> str:
        weights = f"{size(count * _BYTES[name])} for the weights"
        return f"{weights} and {size(cached * _BYTES[name])} for the context" if cached else weights

    ways = [] if _BYTES[dtype] == 2 else [f"--dtype bfloat16 ({needed('bfloat16')})"]
    if cached:
        ways.append("a shorter prompt or a smaller -n" + (", fewer texts at once" if rows > 1 else ""))
        held = f", with {capacity:,} tokens of context" + (f" in each of {rows} texts" if rows > 1 else "")
    else:
        held = ""
    if device != "cpu":
        ways.append("--device cpu")
    ways.append("a smaller model")
    return f"out of memory on {device}: {dtype} takes {needed(dtype)}{held}; what takes less: {'; '.join(ways)}"


def peak_memory() -> int | None:
    """The most memory this process has held, in bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux: getrusage would start from what the parent process held
        peak = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        return None if peak is None else int(peak.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024
