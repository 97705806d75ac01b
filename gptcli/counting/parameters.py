"""Count the parameters of a published size or of a checkpoint, without loading weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gptcli.checkpoint.families import Blueprint, read_blueprint
from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.hub.cached import CONFIG
from gptcli.checkpoint.hub.names import parse_hub_name
from gptcli.checkpoint.hub.spellings import known_as
from gptcli.checkpoint.source import Source, find, nothing_called
from gptcli.counting.tally import Memory, Tally, memory, tally
from gptcli.counting.tensors import Stored, stored
from gptcli.errors import CheckpointError, ModelNotFound
from gptcli.model.config import GPTConfig
from gptcli.model.presets import PRESETS
from gptcli.system.answer import row_of
from gptcli.system.bundled import bundled_names
from gptcli.system.result import Result

WORD_VECTORS = "word-vectors"


@dataclass(frozen=True)
class ParameterCount(Result):
    """The result of ``gptcli params``.

    Attributes:
        model: its name, as the user gave it.
        origin: a published ``preset``, a ``config`` without weights, a ``checkpoint``, or bare ``tensors`` that no
            family reads as a GPT (word vectors, other architectures).
        family: the family that reads it, or ``word-vectors``; None for presets and other bare tensors.
        parameters: the exact number.
        config: the shape of the GPT; None for bare tensors.
        tally: the parameters by category; None for bare tensors.
        stored: the tensors of the files; None where there are none.
        memory: what the parameters take.
        notes: what was inferred, or did not fit.
    """

    schema: ClassVar[str] = "gptcli.params/1"

    model: str
    origin: str
    family: str | None
    parameters: int
    config: GPTConfig | None
    tally: Tally | None
    stored: Stored | None
    memory: tuple[Memory, ...]
    notes: tuple[str, ...] = ()

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each kind of matrix; of bare tensors, for each kind of tensor."""
        groups = self.stored.groups if self.stored else ()
        yield from map(row_of, self.tally.scoreboard if self.tally else groups)


def count_parameters(name: str, n_head: int | None = None) -> ParameterCount:
    """Count the parameters of a folder or file, else of a bundled checkpoint, else of a published size.

    Args:
        name: a checkpoint or a published size; published sizes come before models on the hub.
        n_head: attention heads, for a file without a config.json.

    Raises:
        ModelNotFound: there is nothing of that name.
        CheckpointError: a file is broken, or there is no file to count.
    """
    preset = known_as(name)
    if preset in PRESETS and not Path(name).expanduser().exists() and name not in bundled_names():
        return _of_gpt(preset, "preset", None, PRESETS[preset], None)
    source = _find(name)
    header = source.header
    if header is None:
        blueprint = read_blueprint(source, None, n_head)
        return _of_gpt(name, "config", blueprint.family, blueprint.config, None, blueprint.notes)
    understood, notes = _understand(source, header, n_head)
    if understood is None:
        held, family = stored(header, bits=_bits(source)), None if notes else WORD_VECTORS
        return ParameterCount(
            name, "tensors", family, held.parameters, None, None, held, memory(held.parameters), notes
        )
    held = stored(header, understood.buffers, expected=tally(understood.config).parameters, bits=_bits(source))
    return _of_gpt(name, "checkpoint", understood.family, understood.config, held, notes)


def _bits(source: Source) -> int:
    """Bits of a packed weight, as config.json's quantization_config says; 4 where it does not."""
    method = (source.config or {}).get("quantization_config")
    bits = method.get("bits", 4) if isinstance(method, dict) else 4
    return bits if isinstance(bits, int) and bits in (2, 3, 4, 8) else 4


def _of_gpt(
    name: str, origin: str, family: str | None, config: GPTConfig, held: Stored | None, notes: tuple[str, ...] = ()
) -> ParameterCount:
    counted = tally(config)
    taken = memory(counted.parameters, config)
    return ParameterCount(name, origin, family, counted.parameters, config, counted, held, taken, notes)


def _find(name: str) -> Source:
    try:
        return find(name, only_look=[CONFIG])
    except ModelNotFound as error:
        if parse_hub_name(name) is not None:  # a name on the hub, whose error says what is wrong
            raise
        raise ModelNotFound(f"{nothing_called(name, PRESETS)}\n  published sizes: {', '.join(PRESETS)}") from error


def _understand(source: Source, header: Header, n_head: int | None) -> tuple[Blueprint | None, tuple[str, ...]]:
    """Read a checkpoint as a GPT, or its config.json alone if its tensors do not fit; None: bare tensors."""
    if (source.config or {}).get("model_type") == WORD_VECTORS:
        return None, ()
    problems: list[str] = []
    for attempt in (header, None) if source.config is not None else (header,):
        try:
            blueprint = read_blueprint(source, attempt, n_head)
        except CheckpointError as error:
            problems.append(str(error))
        else:
            return blueprint, (*problems, *blueprint.notes)
    return None, (problems[0], "counted tensor by tensor, buffers included if there are any")
