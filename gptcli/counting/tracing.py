"""The result of ``gptcli trace``, and how to make it from a configuration alone: shapes only, without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gptcli.counting.parameters import count_parameters
from gptcli.counting.steps import TraceStep, walk
from gptcli.errors import InputError
from gptcli.model.config import GPTConfig
from gptcli.probability.distribution import Guess
from gptcli.system.result import Result
from gptcli.tokenizer.token import Token


@dataclass(frozen=True)
class Trace(Result):
    """A run, step by step.

    Attributes:
        model: its name.
        config: its shape.
        parameters: their number, the sum over ``steps``.
        n_tokens: number of tokens.
        steps: in order.
        tokens: the text's tokens; None where a configuration alone is traced.
        next: the most probable token after the text; None without a run.
    """

    schema: ClassVar[str] = "gptcli.trace/1"
    table: ClassVar[str] = "steps"

    model: str
    config: GPTConfig
    parameters: int
    n_tokens: int
    steps: list[TraceStep]
    tokens: list[Token] | None = None
    next: Guess | None = None


def trace_config(
    name: str,
    n_tokens: int | None = None,
    *,
    layer: int | None = None,
    head: int | None = None,
    n_head: int | None = None,
) -> tuple[Trace, tuple[str, ...]]:
    """Trace a published size, a config.json or a checkpoint, without running it.

    Args:
        name: a preset such as ``gpt3``, a config.json, or any name of a checkpoint.
        n_tokens: number of tokens; by default a full context.
        layer: the layer to open, from 1.
        head: the head to open in it, from 1.
        n_head: attention heads, for a file without a config.json.

    Returns:
        The steps, without numbers, and notes on what was inferred.

    Raises:
        GptcliError: there is nothing of that name, it is not a GPT, or it has no such layer, head or length.
    """
    path = Path(name)
    bare = path.name == "config.json" and path.is_file()
    counted = count_parameters(str(path.parent) if bare else name, n_head)
    if counted.config is None:
        raise InputError(f"--config {name}: these tensors are of no GPT known here, so there is nothing to trace")
    length = counted.config.n_positions if n_tokens is None else n_tokens
    steps = walk(counted.config, length, layer, head)
    return Trace(name, counted.config, counted.parameters, length, steps), counted.notes
