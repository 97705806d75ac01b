"""Two checkpoints side by side, or one in two precisions: configuration, weights, and what they expect of a text."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.read import understand
from gptcli.checkpoint.weights.placement import Placement
from gptcli.counting.tally import tally
from gptcli.errors import InputError
from gptcli.measuring.compare_text import TextComparison, compare_text, step_of
from gptcli.measuring.compare_weights import WeightComparison, Weights, compare_weights
from gptcli.model.config import GPTConfig
from gptcli.system.answer import row_of
from gptcli.system.result import Result
from gptcli.text import clipped

if TYPE_CHECKING:
    from gptcli.checkpoint.families import Blueprint
    from gptcli.checkpoint.files.header import Header
    from gptcli.checkpoint.source import Source
    from gptcli.model.engine import Quantize

DTYPES = ("float32", "bfloat16", "float16")
QUANTIZED: "tuple[Quantize, ...]" = ("int8", "int4")
Watch = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        model: its name.
        precision: ``float32``, ``bfloat16``, ``float16``, ``int8``, ``int4``; or ``as stored``.
        family: the family file that reads it.
        parameters: how many it has, a tied unembedding once.
        dtypes: type of the stored numbers -> how many tensors have it.
        nbytes: size of its tensors in the file.
        config: its shape.
    """

    model: str
    precision: str
    family: str
    parameters: int
    dtypes: dict[str, int]
    nbytes: int
    config: GPTConfig

    @property
    def label(self) -> str:
        """The name and the precision, where one was given."""
        return self.model if self.precision == "as stored" else f"{self.model}:{self.precision}"


@dataclass(frozen=True)
class FieldDifference:
    """A field of the configuration that differs.

    Attributes:
        name: of the field.
        a, b: its values.
    """

    name: str
    a: object
    b: object


@dataclass(frozen=True)
class Comparison(Result):
    """Two checkpoints side by side.

    Attributes:
        a, b: the two.
        fields: of the configuration that differ.
        weights: how far their weights are apart; None where they were left out.
        text: what they expect of a text; None without one.
        notes: what could not be compared, and what was assumed of a checkpoint.
    """

    schema: ClassVar[str] = "gptcli.compare/1"

    a: Side
    b: Side
    fields: tuple[FieldDifference, ...]
    weights: WeightComparison | None
    text: TextComparison | None
    notes: tuple[str, ...]

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """The rows of CSV and Markdown: the tokens of the text if there are any, else the tensors, else the fields."""
        tokens = self.text.tokens if self.text else ()
        yield from map(row_of, tokens or (self.weights.tensors if self.weights else self.fields))


@contextmanager
def _unwatched(what: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def compare(
    a: str,
    b: str,
    text: str | None = None,
    *,
    weights: bool = True,
    bos: bool = False,
    stride: int | None = None,
    device: str = "auto",
    n_head: int | None = None,
    watch: Watch = _unwatched,
) -> Comparison:
    """Compare two checkpoints.

    Args:
        a, b: their names, each with a precision after a colon or without (``tales:int4``). A precision alone
            (``:int4``) is that of the other one's model.
        text: to read with both; None: none is read.
        weights: compare their weights, tensor by tensor, which reads all of both files.
        bos: read ``<|endoftext|>`` before the text.
        stride: tokens by which the window moves in a text that is longer than the context.
        device: where to run them.
        n_head: attention heads, for lone files whose shapes do not tell.
        watch: makes a progress bar for the weights, and one for the text.

    Raises:
        InputError: there is nothing to compare, or a name has an unknown precision.
        GptcliError: one cannot be opened.
    """
    (name_a, place_a), (name_b, place_b) = two_names(a, b)
    place_a, place_b = replace(place_a, device=device), replace(place_b, device=device)
    known_a, known_b = understand(name_a, n_head), understand(name_b, n_head)
    side_a, side_b = _side(*known_a, place_a), _side(*known_b, place_b)
    if text is not None:  # a mistake is told before anything is read
        step_of(stride, min(side_a.config.n_positions, side_b.config.n_positions))
    notes_a, notes_b, more = known_a[2].notes, known_b[2].notes, []
    compared = read = None
    if weights:
        with watch("comparing weights") as progress:
            one, other = Weights(*known_a[1:], place_a), Weights(*known_b[1:], place_b)
            compared = compare_weights(one, other, progress)
    if text is not None:
        open_a, open_b = (
            open_checkpoint(name, place, n_head, inside=False) for name, place in ((name_a, place_a), (name_b, place_b))
        )
        notes_a, notes_b = open_a.notes, open_b.notes
        with watch("reading") as progress:
            read, why = compare_text(open_a, open_b, text, bos=bos, stride=stride, progress=progress)
        more = [] if why is None else [why]
    notes = [f"{side.label}: {note}" for side, told in ((side_a, notes_a), (side_b, notes_b)) for note in told]
    return Comparison(side_a, side_b, _fields(side_a, side_b), compared, read, (*dict.fromkeys(notes), *more))


def two_names(a: str, b: str) -> tuple[tuple[str, Placement], tuple[str, Placement]]:
    """The names of two checkpoints and their precisions (see ``compare``).

    Raises:
        InputError: neither has a name, or they are the same.
    """
    (name_a, precision_a), (name_b, precision_b) = _split(a), _split(b)
    if not name_a and not name_b:
        raise InputError("there is no model to compare: give two, or one in two precisions ('tales tales:int4')")
    first, second = name_a or name_b, name_b or name_a
    if (first, precision_a) == (second, precision_b):
        raise InputError(
            f"A and B are both {clipped(a)}: give another model, or another precision after a colon ('{clipped(first)} "
            f"{clipped(first)}:int4'; {', '.join((*DTYPES, *QUANTIZED))})"
        )
    return (first, _placement(precision_a)), (second, _placement(precision_b))


def _split(name: str) -> tuple[str, str]:
    """A name and the precision after its last colon; the latter is empty where there is none."""
    base, colon, precision = name.rpartition(":")
    try:
        there = Path(name).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        there = False
    known = precision in DTYPES or precision in QUANTIZED
    if name.startswith(":") and not known and not there:
        raise InputError(f"'{clipped(name)}' is no precision: {', '.join((*DTYPES, *QUANTIZED))}")
    return (base, precision) if colon and known and not there else (name, "")


def _placement(precision: str) -> Placement:
    quantize = next((kind for kind in QUANTIZED if kind == precision), None)
    return Placement(quantize=quantize) if quantize else Placement(dtype=precision or "auto")


def _side(source: "Source", header: "Header", blueprint: "Blueprint", placement: Placement) -> Side:
    infos = [header.tensors[key] for part in blueprint.tensors.values() for key in part.keys]
    dtypes: dict[str, int] = {}
    for info in infos:
        dtypes[info.dtype] = dtypes.get(info.dtype, 0) + 1
    precision = placement.quantize if placement.quantize != "none" else placement.dtype
    return Side(
        model=source.name,
        precision="as stored" if precision == "auto" else precision,
        family=blueprint.family,
        parameters=tally(blueprint.config).parameters,
        dtypes=dtypes,
        nbytes=sum(info.nbytes for info in infos),
        config=blueprint.config,
    )


def _fields(a: Side, b: Side) -> tuple[FieldDifference, ...]:
    """The fields of the configurations that differ."""
    pairs = ((each.name, getattr(a.config, each.name), getattr(b.config, each.name)) for each in fields(GPTConfig))
    return tuple(FieldDifference(name, _plain(one), _plain(other)) for name, one, other in pairs if one != other)


def _plain(value: object) -> object:
    """A value as JSON has it: what is no number, text or truth is told as text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return str(value)
