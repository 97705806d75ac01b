"""Interventions as they are asked for: places to take out, directions to add. It needs no model until ``made``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from gptcli.errors import InputError
from gptcli.inspection.place_text import parse
from gptcli.inspection.places import Place
from gptcli.inspection.steering import UNEMBEDDING, Steer, directions, parse_steer, save_direction, word_ids
from gptcli.text import clipped, quoted
from gptcli.tokenizer.prompt import quoted_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.inspection.changed_rows import Floats
    from gptcli.inspection.interventions import Change, Interventions
    from gptcli.inspection.places import Point

By = Literal["zero", "mean", "resample"]
# The most places or directions of a request.
MOST = 1000


@dataclass(frozen=True)
class Request:
    """What to change.

    Attributes:
        without: places that are taken out.
        by: what replaces them: zero, their mean, or what stood there in another text.
        over: the text whose mean is meant; None: the text that is read.
        source: that other text.
        steer: directions that are added.
        frozen: whether attention weights are held as they are without the changes.
    """

    without: tuple[Place, ...] = ()
    by: By = "zero"
    over: str | None = None
    source: str | None = None
    steer: tuple[Steer, ...] = ()
    frozen: bool = False

    def told(self) -> tuple[str, ...]:
        """The options that ask for it, as typed; a file stands there as the beginning of its text."""
        told = [f"--without {place.text}" for place in self.without]
        told += [f"--by {self.by}"] if self.by != "zero" else []
        told += [f"--over {quoted(self.over)}"] if self.over is not None else []
        told += [f"--from-text {quoted(self.source)}"] if self.source is not None else []
        told += [f"--steer {steer.text}" for steer in self.steer]
        return (*told, *(["--freeze-attention"] if self.frozen else []))


def requested(
    without: Sequence[str] = (),
    *,
    by: str = "zero",
    over: str | None = None,
    from_text: str | None = None,
    steer: Sequence[str] = (),
    freeze_attention: bool = False,
) -> Request:
    """Read a request.

    Args:
        without: places, such as ``4.1`` (see ``places``).
        by: ``zero``, ``mean`` or ``resample``.
        over: a text for the mean.
        from_text: the text to resample from.
        steer: directions, such as ``layer:7: happy - sad * 6`` (see ``steering``).
        freeze_attention: hold attention weights as they are without the changes.

    Raises:
        ExpressionError: a place or a direction does not parse.
        InputError: the parts contradict each other, or there are too many.
    """
    if len(without) + len(steer) > MOST:
        raise InputError(f"{len(without) + len(steer):,} places are changed: {MOST:,} are the most")
    if freeze_attention and not (without or steer):
        raise InputError("--freeze-attention goes with --without or --steer, which are not there")
    if not without and (by != "zero" or over is not None or from_text is not None):
        raise InputError("--by, --over and --from-text go with --without, which is not there")
    check_by(by, over is not None, from_text is not None)
    parsed = tuple(map(parse, without)), tuple(map(parse_steer, steer))
    return Request(parsed[0], by, over, from_text, parsed[1], freeze_attention)  # type: ignore[arg-type]


def check_by(by: str, over: bool, from_text: bool) -> None:
    """Check how parts are replaced.

    Args:
        by: ``zero``, ``mean`` or ``resample``.
        over, from_text: whether there are these texts.

    Raises:
        InputError: it is another word, or a text is missing or of no use.
    """
    if by not in get_args(By):
        raise InputError(f"--by {quoted(by)}: it must be one of {', '.join(get_args(By))}")
    if over and by != "mean":
        raise InputError("--over goes with --by mean, which is not there")
    if from_text != (by == "resample"):
        raise InputError('--by resample goes with --from-text, the text to take from: --from-text "The dog sat"')


def made(checkpoint: "OpenCheckpoint", request: Request) -> "Interventions | None":
    """The changes of a request in a model; None where nothing is asked for.

    Raises:
        ExpressionError: the model has no such place.
        InputError: a text does not fit into the context or has no tokens, or a word or file of a direction is unknown.
    """
    from gptcli.inspection.interventions import Interventions, located_changes

    if not request.without and not request.steer:
        return None
    places = [place.within(checkpoint.config) for place in request.without]
    steers = [(steer, steer.place.within(checkpoint.config)) for steer in request.steer]
    points: list[Point] = [(place.kind, layer - 1) for place in places for layer in place.layers or (1,)]
    values = _values(checkpoint, request, points)
    how = {"zero": "zero", "mean": "mean", "resample": "replace"}[request.by]
    changes: list[Change] = []
    for place in places:
        changes += located_changes(place, how, values.get)  # type: ignore[arg-type]
    for steer, place in steers:
        found = directions(checkpoint, steer, place)
        changes += located_changes(place, "add", {point: steer.strength * one for point, one in found.items()}.get)
    return Interventions(tuple(changes), request.frozen, checkpoint.tokenizer.token_bytes, told=request.told())


def _values(checkpoint: "OpenCheckpoint", request: Request, points: "Sequence[Point]") -> "dict[Point, Floats]":
    """What replaces what stands at some points; empty for zero, and for the mean over the text that is read."""
    from gptcli.inspection.changed_rows import as_numpy
    from gptcli.inspection.runs import runs_of

    text = {"mean": request.over, "resample": request.source}.get(request.by)
    if not points or text is None:
        return {}
    runs, ids = runs_of(checkpoint), checkpoint.encode_prompt(text)
    found = runs.means(ids, points) if request.by == "mean" else runs.trunk(ids, points).seen
    return {point: as_numpy(found[point]) for point in points}


def notes(checkpoint: "OpenCheckpoint", request: Request) -> list[str]:
    """For the user: the words of a direction that are several tokens."""
    made = []
    for term in (term for steer in request.steer for term in steer.terms):
        ids = word_ids(checkpoint, term)
        if len(ids) > 1:
            how = "the first is taken" if term.word.startswith(UNEMBEDDING) else "the mean of them is taken"
            pieces = quoted_tokens(checkpoint.tokenizer, ids)
            made.append(f"--steer: '{clipped(term.word)}' is {len(ids):,} tokens, {pieces}: {how}")
    return list(dict.fromkeys(made))


def save_steered(checkpoint: "OpenCheckpoint", steer: Steer, path: "Path") -> None:
    """Write the direction of a steering, without its strength, as .safetensors.

    Raises:
        InputError: it is added after several layers, where it may differ.
        GptcliError: the file cannot be written.
    """
    place = steer.place.within(checkpoint.config)
    found = directions(checkpoint, steer, place)
    if len(found) > 1:
        raise InputError(
            f"--save-direction keeps one direction, and {steer.place.text} has {len(found)}: name one layer"
        )
    (direction,) = found.values()
    save_direction(path, direction, model=checkpoint.name, place=steer.place.text, expression=steer.expression)
