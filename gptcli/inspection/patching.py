"""Causal tracing: what of a clean run, copied into a corrupted one, brings its prediction back.

Two texts of equal length are read. Then the second, the corrupted one, is run again and again, each time with one
activation of the clean run in place of its own (Meng et al. 2022; Wang et al. 2022, who take the corrupted text from
another prompt, as here). How much of the difference between the two predictions comes back says how much of the
difference passes through that place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.inspection.ablation import chosen_outcome
from gptcli.inspection.places import Kind, Point
from gptcli.inspection.runs import runs_of
from gptcli.inspection.variants import Edit, Measure, Outcome, Progress, Trunk, chunks
from gptcli.model.config import GPTConfig
from gptcli.system.result import Result
from gptcli.text import token_text
from gptcli.tokenizer.token import Token, tokens_of

Stream = Literal["stream", "attention", "mlp"]
_STREAMS: tuple[Stream, ...] = ("stream", "attention", "mlp")
_EMBEDDING: Point = ("embedding", 0)
# Differences of the two predictions below this are rounding.
_LEAST = 1e-4
# Columns of the tokens that an error shows.
_SHOWN = 12
# The most of these that stand before the first that differs.
_BEFORE = 8


@dataclass(frozen=True)
class PatchMap:
    """What copying one kind of activation restores.

    Attributes:
        part: ``stream`` (the residual stream), ``attention``, ``mlp``, or ``heads``.
        layers: of the rows, from 1; row 0 of the stream is the embedding.
        values: [layers][positions], or [layers][heads]: the share of the difference that comes back: 0 nothing,
            1 all of it. None where the scan was stopped before.
    """

    part: Stream | Literal["heads"]
    layers: list[int]
    values: list[list[float | None]]


@dataclass(frozen=True)
class PatchText:
    """One of the two texts.

    Attributes:
        prompt: the text.
        tokens: its tokens.
        value: the measure after it.
    """

    prompt: str
    tokens: list[Token]
    value: float


@dataclass(frozen=True)
class Patching(Result):
    """What of a clean run brings the clean prediction back into a corrupted run.

    Attributes:
        model: its name.
        clean, corrupted: the texts.
        measure: ``logit`` or ``probability``.
        token: whose.
        versus: the token whose logit or probability is subtracted; None: none is.
        frozen: whether attention looks where it does in the corrupted run.
        maps: one for the stream, attention and the MLPs each, or one for the heads.
        complete: whether the scan reached its end.
    """

    schema: ClassVar[str] = "gptcli.patch/1"

    model: str
    clean: PatchText
    corrupted: PatchText
    measure: Measure
    token: Token
    versus: Token | None
    frozen: bool
    maps: list[PatchMap]
    complete: bool

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each place, a position or a head, whose activation was copied."""
        for scanned in self.maps:
            place = "head" if scanned.part == "heads" else "position"
            for layer, row in zip(scanned.layers, scanned.values, strict=True):
                for number, value in enumerate(row, start=1):
                    yield {"part": scanned.part, "layer": layer, place: number, "restored": value}


def patch(
    checkpoint: OpenCheckpoint,
    clean: str,
    corrupted: str,
    *,
    token: str | None = None,
    versus: str | None = None,
    measure: Measure = "logit",
    heads: bool = False,
    frozen: bool = False,
    progress: Progress = lambda done, total: None,
) -> Patching:
    """Copy activations of the clean run into the corrupted one, one place at a time.

    A ``KeyboardInterrupt`` ends the scan: what is done is returned, if anything is (late layers are done first).

    Args:
        checkpoint: the model and its tokenizer.
        clean, corrupted: texts of equal length in tokens.
        token: its first token is measured; None: what the model predicts after the clean text.
        versus: the first token of this is what it is compared with.
        measure: ``logit`` or ``probability``.
        heads: copy each head's output at all positions, instead of the stream, attention and MLP at each position.
        frozen: attention looks where it does in the corrupted run.
        progress: called with the layers that are done, and all.

    Raises:
        InputError: the texts are empty, differ in length or are the same, do not fit into the context, or end in
            predictions that do not differ; or a word has no token.
    """
    if not clean and not corrupted:
        raise InputError("both texts are empty: give two that differ in a word")
    name, config = checkpoint.tokenizer.token_bytes, checkpoint.config
    ids = [checkpoint.encode_prompt(text) for text in (clean, corrupted)]
    tokens = [tokens_of(checkpoint.tokenizer, text) for text in ids]
    check_texts(*([each.token for each in text] for text in tokens))
    layers, runs = range(config.n_layer), runs_of(checkpoint)
    kinds: tuple[Kind, ...] = ("head",) if heads else ("attention", "mlp", "layer")
    points: list[Point] = [(kind, layer) for layer in layers for kind in kinds]
    source = runs.trunk(ids[0], points if heads else [_EMBEDDING, *points])
    trunk = runs.trunk(ids[1], frozen=frozen)
    outcome = chosen_outcome(checkpoint, source, clean, token, versus, measure)
    (best,), (worst,) = (outcome.of(run, run.last[None]) for run in (source, trunk))
    if abs(best - worst) < _LEAST:
        raise InputError(
            f"the {measure} is {best:.4f} after the clean text and {worst:.4f} after the corrupted one: there is no "
            "difference to restore (name other tokens with --token and --versus)"
        )
    scan = _Scan(config, source, trunk, outcome, best, worst, progress)
    if heads:
        maps, done = [_empty("heads", layers, config.n_head)], scan.heads()
    else:
        maps, done = [_empty(part, layers, len(ids[0])) for part in _STREAMS], scan.positions()
    complete = _filled(maps, done)
    return Patching(
        model=checkpoint.name,
        clean=PatchText(clean, tokens[0], best),
        corrupted=PatchText(corrupted, tokens[1], worst),
        measure=measure,
        token=Token(outcome.token, name(outcome.token)),
        versus=None if outcome.versus is None else Token(outcome.versus, name(outcome.versus)),
        frozen=frozen,
        maps=maps,
        complete=complete,
    )


def _empty(part: Stream | Literal["heads"], layers: range, columns: int) -> PatchMap:
    rows = [0, *(layer + 1 for layer in layers)] if part == "stream" else [layer + 1 for layer in layers]
    return PatchMap(part, rows, [[None] * columns for _ in rows])


# The part, the layer of its row, the columns, and the values there.
_Found = tuple[str, int, Sequence[int], Sequence[float]]


def _filled(maps: list[PatchMap], found: Iterator[_Found]) -> bool:
    """Fill the maps as the scan goes on; returns whether it reached its end."""
    rows = {(each.part, layer): row for each in maps for layer, row in zip(each.layers, each.values, strict=True)}
    try:
        for part, layer, columns, values in found:
            for column, value in zip(columns, values, strict=True):
                rows[part, layer][column] = value  # type: ignore[index]
    except KeyboardInterrupt:
        if all(value is None for row in rows.values() for value in row):
            raise
        return False
    return True


@dataclass(frozen=True)
class _Scan:
    """The runs of a scan, late layers first."""

    config: GPTConfig
    source: Trunk
    trunk: Trunk
    outcome: Outcome
    best: float
    worst: float
    progress: Progress

    def shares(self, stream: Any) -> list[float]:
        """How much of the difference came back in each run, from its last stream [B, T, C]."""
        values = self.outcome.of(self.trunk, stream)
        return [(value - self.worst) / (self.best - self.worst) for value in values]

    def positions(self) -> Iterator[_Found]:
        """The stream, attention and the MLP of each layer at each position, and the embedding at each."""
        ids, count = self.trunk.ids, self.config.n_layer
        # Up to here the texts are the same, and so is everything that was computed.
        same = next(index for index, pair in enumerate(zip(self.source.ids, ids, strict=True)) if pair[0] != pair[1])
        where = range(same, len(ids))
        for layer in range(count - 1, -1, -1):
            parts: list[tuple[str, int, Point]] = [
                ("stream", layer + 1, ("layer", layer)),
                ("attention", layer + 1, ("attention", layer)),
                ("mlp", layer + 1, ("mlp", layer)),
                *([("stream", 0, _EMBEDDING)] if layer == 0 else []),
            ]
            for part, row, point in parts:
                clean = self.source.seen[point]
                for some in chunks(len(where), self.trunk.at_once):
                    columns = [where[index] for index in some]
                    edits = [Edit(index, point, clean[at], position=at) for index, at in enumerate(columns)]
                    stream = self.trunk.branch(layer, edits, len(columns))
                    yield part, row, columns, self.shares(stream)
                yield part, row, range(same), [0.0] * same
            self.progress(count - layer, count)

    def heads(self) -> Iterator[_Found]:
        """Each head at all positions."""
        count = self.config.n_layer
        for layer in range(count - 1, -1, -1):
            point: Point = ("head", layer)
            for some in chunks(self.config.n_head, self.trunk.at_once):
                clean = self.source.seen[point]
                edits = [Edit(row, point, clean[:, head], head) for row, head in enumerate(some)]
                yield "heads", layer + 1, some, self.shares(self.trunk.branch(layer, edits, len(some)))
            self.progress(count - layer, count)


def check_texts(clean: Sequence[bytes], corrupted: Sequence[bytes]) -> None:
    """Refuse texts that cannot be patched position by position.

    Raises:
        InputError: shows their tokens side by side.
    """
    if len(clean) != len(corrupted):
        raise InputError(
            f"the texts have {len(clean):,} and {len(corrupted):,} tokens, and patching goes position by position: "
            f"give two of equal length\n{_side_by_side(clean, corrupted)}"
        )
    if list(clean) == list(corrupted):
        raise InputError("the two texts are the same: change a word in one of them")


def _side_by_side(clean: Sequence[bytes], corrupted: Sequence[bytes]) -> str:
    """Two lines of tokens from a word before the first that differs on, one above the other, for an error."""
    pairs = zip(clean, corrupted, strict=False)
    first = next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(clean), len(corrupted)))
    start = max(first - 3, 0)
    while first - start < _BEFORE and start and not clean[start].startswith(b" "):
        start -= 1  # the whole word
    lines = [f"  {name:<9} {'…' if start else ''}" for name in ("clean", "corrupted")]
    for index in range(start, min(start + _SHOWN, max(len(clean), len(corrupted)))):
        cells = [token_text(text[index])[:20] if index < len(text) else "–" for text in (clean, corrupted)]
        lines = [f"{line} {cell:<{max(map(len, cells))}}" for line, cell in zip(lines, cells, strict=True)]
    ends = [" …" if len(text) > start + _SHOWN else "" for text in (clean, corrupted)]
    return "\n".join(line.rstrip() + end for line, end in zip(lines, ends, strict=True))
