"""The errors for bad weights, the same for both engines."""

from gptcli.checkpoint.families import Part
from gptcli.errors import CheckpointError, InputError


def not_finite(name: str, part: Part) -> CheckpointError:
    """The error for a weight that holds NaN or infinity in the file."""
    return CheckpointError(f"{_keys(name, part)} holds NaN or infinity: the file is broken")


def too_large(name: str, part: Part, dtype: str) -> InputError:
    """The error for a weight that becomes infinite in another precision."""
    return InputError(f"{_keys(name, part)} is too large for {dtype}: try --dtype float32 or bfloat16")


def _keys(name: str, part: Part) -> str:
    return f"{', '.join(part.keys)} ({name})"
