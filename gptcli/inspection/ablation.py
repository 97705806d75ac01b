"""What each head and each MLP does for a prediction: it is taken out, and the prediction is looked at again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.inspection.places import Point
from gptcli.inspection.request import By
from gptcli.inspection.runs import runs_of
from gptcli.inspection.variants import Edit, Measure, Outcome, Progress, Runs, Trunk, chunks
from gptcli.probability.distribution import watched_ids
from gptcli.system.result import Result
from gptcli.tokenizer.token import Token, tokens_of


@dataclass(frozen=True)
class LayerEffects:
    """What the parts of one layer do.

    Attributes:
        layer: from 1.
        heads: the effect of each head.
        mlp: that of the MLP.
    """

    layer: int
    heads: list[float]
    mlp: float


@dataclass(frozen=True)
class Effect:
    """The effect of one part.

    Attributes:
        layer: from 1.
        head: from 1; None for the layer's MLP.
        effect: as in ``Ablation``.
    """

    layer: int
    head: int | None
    effect: float


@dataclass(frozen=True)
class Ablation(Result):
    """What each head and MLP does for a prediction.

    An effect is how much the measure falls when the part is taken out (for the loss: how much it rises); positive:
    the part helps the prediction.

    Attributes:
        model: its name.
        prompt: the text.
        tokens: its tokens.
        measure: ``logit``, ``probability`` or ``loss``.
        token: whose logit or probability; None for the loss.
        versus: the token whose logit or probability is subtracted; None: none is.
        by: what replaces a part: ``zero``, ``mean`` or ``resample``.
        frozen: whether attention looks where it does in the whole model.
        whole: the measure with nothing taken out.
        n_layer: layers of the model.
        layers: one entry for each that was scanned; the later ones only where the scan was stopped.
        complete: whether all were.
    """

    schema: ClassVar[str] = "gptcli.ablate/1"

    model: str
    prompt: str
    tokens: list[Token]
    measure: Measure
    token: Token | None
    versus: Token | None
    by: By
    frozen: bool
    whole: float
    n_layer: int
    layers: list[LayerEffects]
    complete: bool

    def strongest(self, count: int) -> list[Effect]:
        """The parts with the largest effects, of either sign, largest first."""
        found = [
            Effect(layer.layer, head, effect)
            for layer in self.layers
            for head, effect in enumerate(layer.heads, start=1)
        ]
        found += [Effect(layer.layer, None, layer.mlp) for layer in self.layers]
        return sorted(found, key=lambda each: -abs(each.effect))[:count]

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each part that was taken out."""
        for layer in self.layers:
            for head, effect in enumerate(layer.heads, start=1):
                yield {"layer": layer.layer, "part": "head", "head": head, "effect": effect}
            yield {"layer": layer.layer, "part": "mlp", "head": None, "effect": layer.mlp}


def ablate(
    checkpoint: OpenCheckpoint,
    prompt: str,
    *,
    token: str | None = None,
    versus: str | None = None,
    measure: Measure = "logit",
    by: By = "zero",
    over: str | None = None,
    source: str | None = None,
    frozen: bool = False,
    progress: Progress = lambda done, total: None,
) -> Ablation:
    """Take out every head and every MLP, one at a time.

    The runs of one layer are computed together, from that layer on. A ``KeyboardInterrupt`` ends the scan: the layers
    that are done are returned, if there are any (late layers are done first, for they are the quickest).

    Args:
        checkpoint: the model and its tokenizer.
        prompt: what it reads.
        token: its first token is the prediction that is measured; None: the model's own.
        versus: the first token of this is what it is compared with.
        measure: what is measured (see ``Outcome``).
        by: ``zero``; ``mean``: over the text, or over another one (``over``); ``resample``: from ``source``.
        over, source: texts.
        frozen: attention looks where it does with nothing taken out, so that only what is moved can change.
        progress: called with the layers that are done, and all.

    Raises:
        InputError: the text does not fit into the context; a word has no token; or the options contradict each other.
    """
    runs, ids = runs_of(checkpoint), checkpoint.encode_prompt(prompt)
    check(measure, token, versus, len(ids))
    layers, heads = range(checkpoint.config.n_layer), checkpoint.config.n_head
    points: list[Point] = [(kind, layer) for layer in layers for kind in ("head", "mlp")]
    trunk = runs.trunk(ids, points, frozen=frozen)
    outcome = chosen_outcome(checkpoint, trunk, prompt, token, versus, measure)
    values = _replacements(checkpoint, runs, trunk, points, by, over, source)
    (whole,) = outcome.of(trunk, trunk.last[None])
    done: list[LayerEffects] = []
    try:
        for layer in reversed(layers):
            each = list(_layer(trunk, layer, heads, values, outcome))
            sign = -1 if measure == "loss" else 1
            effects = [sign * (whole - value) for value in each]
            done.append(LayerEffects(layer + 1, effects[:-1], effects[-1]))
            progress(len(done), len(layers))
    except KeyboardInterrupt:
        if not done:
            raise
    name = checkpoint.tokenizer.token_bytes
    complete = len(done) == len(layers)
    return Ablation(
        model=checkpoint.name,
        prompt=prompt,
        tokens=tokens_of(checkpoint.tokenizer, ids),
        measure=measure,
        token=None if measure == "loss" else Token(outcome.token, name(outcome.token)),
        versus=None if outcome.versus is None else Token(outcome.versus, name(outcome.versus)),
        by=by,
        frozen=frozen,
        whole=whole,
        n_layer=len(layers),
        layers=done[::-1],
        complete=complete,
    )


def check(measure: Measure, token: str | None, versus: str | None, length: int) -> None:
    """Refuse what cannot be measured.

    Raises:
        InputError: says why.
    """
    if measure == "loss" and (token is not None or versus is not None):
        raise InputError("the loss is that of the text's own tokens: leave out --token and --versus")
    if measure == "loss" and length < 2:
        raise InputError("the loss takes two tokens or more, and the text has one")


def chosen_outcome(
    checkpoint: OpenCheckpoint, run: Trunk, text: str, token: str | None, versus: str | None, measure: Measure
) -> Outcome:
    """What is measured, of the model's own prediction where no token is named.

    Raises:
        InputError: a word has no token.
    """
    words = [word for word in (token, versus) if word is not None]
    found = watched_ids(checkpoint.tokenizer, words, text, checkpoint.n_vocab, "--token or --versus")
    if token is None:
        found.insert(0, int(run.logits(run.last[-1:])[0, : checkpoint.n_vocab].argmax()))
    if versus is not None and found[0] == found[1]:
        raise InputError("--token and --versus are the same token: there is no difference to look at")
    return Outcome(measure, found[0], found[1] if versus is not None else None, checkpoint.n_vocab)


def _replacements(
    checkpoint: OpenCheckpoint,
    runs: Runs,
    trunk: Trunk,
    points: Sequence[Point],
    by: By,
    over: str | None,
    source: str | None,
) -> dict[Point, Any] | None:
    """What replaces each part: [1 or T, ...] at each point; None for zero."""
    if by == "zero":
        return None
    if by == "mean":
        ids = trunk.ids if over is None else checkpoint.encode_prompt(over)
        return {point: mean[None] for point, mean in runs.means(ids, points).items()}
    if source is None:
        raise InputError("resampling takes a text to take from")
    other = runs.trunk(checkpoint.encode_prompt(source), points)
    last = len(other.ids) - 1
    where = [index if index <= last else (1 + (index - 1) % last if last else 0) for index in range(len(trunk.ids))]
    return {point: other.seen[point][where] for point in points}


def _layer(trunk: Trunk, layer: int, heads: int, values: dict[Point, Any] | None, outcome: Outcome) -> Iterator[float]:
    """The outcome without each head of a layer, and without its MLP."""

    def edit(row: int, part: int) -> Edit:
        if part == heads:
            return Edit(row, ("mlp", layer), None if values is None else values["mlp", layer])
        return Edit(row, ("head", layer), None if values is None else values["head", layer][:, part], part)

    for some in chunks(heads + 1, trunk.at_once):
        edits = [edit(row, part) for row, part in enumerate(some)]
        yield from outcome.of(trunk, trunk.branch(layer, edits, len(some)))
