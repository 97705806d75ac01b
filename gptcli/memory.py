"""Memory: how much was held; and running out of it, told from other failures, with what would fit."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gptcli.errors import GptcliError
from gptcli.limits import is_out_of_memory
from gptcli.model.config import GPTConfig
from gptcli.model.shapes import parameter_shapes
from gptcli.show.text import size

# Bytes of one weight of a matrix, with its share of the scales: one for 32 weights in 4 bits.
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "int4": 0.5 + 2 / 32}


@contextmanager
def explained(
    config: GPTConfig, device: str, dtype: str, *, rows: int = 0, capacity: int = 0, to_run: bool = False
) -> Iterator[None]:
    """Turn running out of memory into an error that says what was needed and what would need less.

    Args:
        config: of the model.
        device: where it is, or is to be.
        dtype: its precision, such as ``float32``.
        rows: texts that are worked on at once; 0 while the model is being loaded.
        capacity: tokens that the key/value cache holds of each.
        to_run: whether it is opened by a command that has ``--quantize``.

    Raises:
        GptcliError: there was not enough memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        from gptcli.model.native.weights import why_not

        ways = [_half(config, rows * capacity * config.cached_per_token)] if dtype == "float32" else []
        if device != "cpu":
            ways.append("--device cpu")
            if to_run and why_not(config) is None:
                ways.append(f"--device cpu --quantize int8 ({size(weights(config, 'int8'))} for the weights)")
        raise GptcliError(_advice(config, device, dtype, rows, capacity, ways)) from error


def out_of_memory_in_c(config: GPTConfig, kind: str, rows: int, capacity: int) -> GptcliError:
    """The error of the engine in C, which keeps weights in any kind, and the context in float32.

    Args:
        config: of the model.
        kind: how the matrices are kept: ``float32``, ``bfloat16``, ``float16``, ``int8`` or ``int4``.
        rows: texts that are worked on at once; 0 while the model is being loaded.
        capacity: tokens that the key/value cache holds of each.
    """
    smaller = [name for name in ("int8", "int4") if _BYTES[name] < _BYTES[kind]]
    ways = [f"--quantize {name} ({size(weights(config, name))} for the weights)" for name in smaller]
    return GptcliError(_advice(config, "cpu", kind, rows, capacity, ways, "float32"))


def weights(config: GPTConfig, dtype: str) -> int:
    """Bytes that a model's weights take; in 8 and 4 bits vectors and positions are float32, and a row has a scale."""
    if dtype not in ("int8", "int4"):
        return sum(math.prod(shape) for shape in parameter_shapes(config).values()) * int(_BYTES[dtype])
    from gptcli.model.quantize import GROUP, kind_of

    total = 0.0
    for name, shape in parameter_shapes(config).items():
        if len(shape) == 1 or name == "wpe.weight":
            total += 4 * math.prod(shape)
            continue
        kind = kind_of(name, "int8" if dtype == "int8" else "int4") if shape[1] % GROUP == 0 else "int8"
        total += math.prod(shape) * _BYTES[kind] + (4 * shape[0] if kind == "int8" else 0)
    return int(total)


def _half(config: GPTConfig, numbers: int) -> str:
    return f"--dtype bfloat16 ({_needed(weights(config, 'bfloat16'), numbers * 2)})"


def _needed(held: int, context: int) -> str:
    return f"{size(held)} for the weights" + (f" and {size(context)} for the context" if context else "")


def _advice(
    config: GPTConfig, device: str, dtype: str, rows: int, capacity: int, ways: list[str], context_dtype: str = ""
) -> str:
    context = rows * capacity * config.cached_per_token * int(_BYTES[context_dtype or dtype])
    takes, held = _needed(weights(config, dtype), context), ""
    if context:
        ways = [*ways, "a shorter prompt or a smaller -n" + (", fewer texts at once" if rows > 1 else "")]
        held = f", with {capacity:,} tokens of context" + (f" in each of {rows} texts" if rows > 1 else "")
    ways = [*ways, "a smaller model"]
    return f"out of memory on {device}: {dtype} takes {takes}{held}; what takes less: {'; '.join(ways)}"


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
