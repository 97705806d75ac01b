"""Memory: estimates of what a model needs, free memory, and out-of-memory errors with advice on what would fit."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gptcli.errors import GptcliError
from gptcli.model.config import GPTConfig
from gptcli.model.shapes import is_matrix, parameter_shapes
from gptcli.system.limits import is_out_of_memory
from gptcli.text import size

# Bytes of one weight of a matrix. int4 includes its share of the scales: one float16 for 32 weights.
_BYTES: dict[str, float] = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "int4": 0.5 + 2 / 32}


@contextmanager
def explain_out_of_memory(
    config: GPTConfig, device: str, dtype: str, *, rows: int = 0, capacity: int = 0, to_run: bool = False
) -> Iterator[None]:
    """Turn running out of memory into an error that says what was needed and what would need less.

    Args:
        config: of the model.
        device: where the model is, or is being loaded to.
        dtype: its precision, for example ``float32``.
        rows: texts that are computed at once; 0 while the model is being loaded.
        capacity: tokens of each text that the key/value cache holds.
        to_run: whether the command has the option ``--quantize``.

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


def out_of_memory_in_c(config: GPTConfig, kind: str, rows: int, capacity: int, cache: str = "float32") -> GptcliError:
    """The error of the engine in C, which stores weights in one of several types, and the cache in one of two.

    Args:
        config: of the model.
        kind: storage type of the matrices: ``float32``, ``bfloat16``, ``float16``, ``int8`` or ``int4``.
        rows: texts that are computed at once; 0 while the model is being loaded.
        capacity: tokens of each text that the key/value cache holds.
        cache: precision of the cached keys and values.
    """
    smaller = [name for name in ("int8", "int4") if _BYTES[name] < _BYTES[kind]]
    ways = [f"--quantize {name} ({size(weights(config, name))} for the weights)" for name in smaller]
    if cache == "float32" and rows:
        context = rows * capacity * config.cached_per_token
        ways.append(f"--cache float16 ({size(2 * context)} for the context)")
    return GptcliError(_advice(config, "cpu", kind, rows, capacity, ways, cache))


def weights(config: GPTConfig, dtype: str) -> int:
    """Bytes of a model's weights. With int8 and int4, vectors and positions are float32; an int8 row has a scale."""
    if dtype not in ("int8", "int4"):
        return sum(math.prod(shape) for shape in parameter_shapes(config).values()) * int(_BYTES[dtype])
    from gptcli.model.quantize import GROUP, kind_of

    total = 0.0
    for name, shape in parameter_shapes(config).items():
        if not is_matrix(name, shape):
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


def free_memory() -> int | None:
    """Memory in bytes that this process can still allocate: the least that machine, container and limits leave.

    None where it is unknown.
    """
    left = [_free_here(), _free_in_container(), _free_of_address_space()]
    return min((each for each in left if each is not None), default=None)


def _free_here() -> int | None:
    lines = _lines(Path("/proc/meminfo"))
    return sum(1024 * int(lines[name].split()[0]) for name in ("MemAvailable", "SwapFree")) if lines else None


def _free_in_container() -> int | None:
    """Free memory within the limit of the control group (cgroup v2, as seen in a container)."""
    group = Path("/sys/fs/cgroup")
    try:
        most, held = ((group / f"memory.{name}").read_text().strip() for name in ("max", "current"))
    except OSError:
        return None
    return max(int(most) - int(held), 0) if most.isdecimal() else None


def _free_of_address_space() -> int | None:
    """Free address space within the limit of ``ulimit -v``."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit, lines = resource.getrlimit(resource.RLIMIT_AS)[0], _lines(Path("/proc/self/status"))
    if limit == resource.RLIM_INFINITY or not lines:
        return None
    return max(limit - 1024 * int(lines["VmSize"].split()[0]), 0)


def _lines(path: Path) -> dict[str, str]:
    """The ``name: value`` lines of a file as a dict; empty where the file cannot be read."""
    try:
        return dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    except OSError:
        return {}
