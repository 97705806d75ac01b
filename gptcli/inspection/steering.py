"""Directions that are added to the residual stream: ``layer:7: happy - sad * 6``.

Behind the place and its colon stands word arithmetic (``embedding.expression``), and at the end the strength, which
multiplies all of it. Its terms:

    happy                   the token embedding of ``·happy``, as it enters the stream (the mean of several tokens)
    unembedding:happy       the token's row of the unembedding
    "I love you"            what stands at the place after the model has read this text (at its last token)
    love.safetensors        a saved direction; a path with a space is quoted

Adding the difference of two texts' activations is activation addition (Turner et al. 2023; Rimsky et al. 2023). Nothing
is normalized: the strength is the factor of these papers. What suits it depends on the direction. On ``tales``, of 40
texts that begin with "The forest was" (36 tokens each), 18 have a happy word; with ``layer:7: happy - sad * 6`` 28, and
with ``* 12`` 32. One text alone may show nothing. The same words as texts, ``" happy" - " sad"``, which the layers
before have turned into activations, are much longer vectors: 25 at ``* 1`` or ``* 2``, and from ``* 3`` on the
sentences fall apart. So a bare word is its embedding.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gptcli.embedding.expression import Term
from gptcli.embedding.expression import parse as parse_expression
from gptcli.errors import ExpressionError, InputError
from gptcli.inspection.place_text import parse_before_colon
from gptcli.inspection.places import Located, Place
from gptcli.text import clipped, quoted
from gptcli.tokenizer.prompt import known

if TYPE_CHECKING:
    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.inspection.changed_rows import Floats
    from gptcli.inspection.places import Point

_STRENGTH = re.compile(r"\s*[*×]\s*([-+−]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))\s*$", re.ASCII)
_SAVED = ".safetensors"
UNEMBEDDING = "unembedding:"
_PLACES = ("layer", "attention", "mlp", "embedding")
_KEY = "direction"
_DTYPES = {"F16": "float16", "F32": "float32", "F64": "float64"}


@dataclass(frozen=True)
class Steer:
    """A direction to add, as typed.

    Attributes:
        text: all of it.
        place: where.
        expression: what stands behind the place, without the strength.
        terms: what is summed.
        strength: what the sum is multiplied with.
    """

    text: str
    place: Place
    expression: str
    terms: tuple[Term, ...]
    strength: float


def parse_steer(text: str) -> Steer:
    """Read a direction.

    Raises:
        ExpressionError: it does not follow the grammar; points at the first position that does not fit.
        InputError: it is too long.
    """
    line = re.sub(r"\s", " ", text).rstrip()
    place, start = parse_before_colon(line)
    if place.kind not in _PLACES:
        raise ExpressionError(
            "a direction is as wide as the residual stream: add it at layer:N, attention:N, mlp:N or embedding", line, 0
        )
    rest = line[start:]
    found = _STRENGTH.search(rest)
    # A number without anything before it is a word.
    strength = float(found[1].replace("−", "-")) if found and rest[: found.start()].strip() else 1.0
    expression = rest[: found.start()] if found and rest[: found.start()].strip() else rest
    if not expression.strip():
        raise ExpressionError("expected what to add here, as in layer:7: happy - sad", line, len(line))
    try:
        terms = parse_expression(expression, files=True).terms
    except ExpressionError as error:
        raise ExpressionError(error.message, line, start + error.position) from None
    return Steer(line.strip(), place, expression.strip(), terms, strength)


def directions(checkpoint: "OpenCheckpoint", steer: Steer, place: Located) -> "dict[Point, Floats]":
    """The direction at each layer of its place, without the strength: [C] each, in float32.

    Args:
        checkpoint: the model and its tokenizer.
        steer: as typed.
        place: where, in this model.

    Raises:
        InputError: a word has no token, or a file no direction of this width.
        CheckpointError: a file is broken.
    """
    import numpy as np

    points: list[Point] = [(place.kind, layer - 1) for layer in place.layers or (1,)]
    sums = {point: np.zeros(checkpoint.config.n_embd, np.float32) for point in points}
    for term in steer.terms:
        for point, vector in _vectors(checkpoint, term, points).items():
            sums[point] += np.float32(term.weight) * vector
    return sums


def _vectors(checkpoint: "OpenCheckpoint", term: Term, points: "Sequence[Point]") -> "dict[Point, Floats]":
    """One term at each point, [C] each."""
    if term.word.endswith(_SAVED):
        return dict.fromkeys(points, load_direction(Path(term.word), checkpoint))
    if term.word.startswith(UNEMBEDDING):
        return dict.fromkeys(points, _unembedding(checkpoint, term))
    if not term.quoted:
        return dict.fromkeys(points, _embedding(checkpoint, term))
    from gptcli.inspection.changed_rows import as_numpy
    from gptcli.inspection.runs import runs_of

    seen = runs_of(checkpoint).trunk(checkpoint.encode_prompt(term.word), points).seen
    return {point: as_numpy(seen[point][-1]) for point in points}


def word_ids(checkpoint: "OpenCheckpoint", term: Term) -> list[int]:
    """The tokens of a word as it stands inside a sentence; none for a text or a file.

    Raises:
        InputError: it has no token, or one that the model lacks.
    """
    if term.word.endswith(_SAVED) or (term.quoted and not term.word.startswith(UNEMBEDDING)):
        return []
    word = term.word.removeprefix(UNEMBEDDING).removeprefix("·")
    ids = checkpoint.tokenizer.encode(f" {word}") if word else []
    if not ids:
        raise InputError(f"--steer: {checkpoint.tokenizer.name} has no token for {quoted(word)}")
    return known(checkpoint.tokenizer, ids, checkpoint.n_vocab, "--steer")


def _embedding(checkpoint: "OpenCheckpoint", term: Term) -> "Floats":
    """The mean of the embeddings of a word's tokens, before a norm that may stand behind them."""
    from gptcli.inspection.stream import StreamWeights

    found: Floats = StreamWeights(checkpoint.what).embeddings(word_ids(checkpoint, term)).mean(0)
    return found


def _unembedding(checkpoint: "OpenCheckpoint", term: Term) -> "Floats":
    """The row of a word's first token, in the width of the stream."""
    from gptcli.inspection.stream import StreamWeights

    weights = StreamWeights(checkpoint.what)
    row: Floats = weights.unembedding_of(word_ids(checkpoint, term)[:1])[0]
    if checkpoint.config.embedding_width != checkpoint.config.n_embd:
        row = row @ weights.matrix("project_out.weight")
    return row


def save_direction(path: Path, direction: "Floats", **facts: str) -> None:
    """Write a direction [C] as a .safetensors file.

    Args:
        path: of the file.
        direction: the vector.
        facts: are written as its metadata.

    Raises:
        GptcliError: it cannot be written.
    """
    from safetensors.numpy import save

    from gptcli.system.whole_file import write_whole

    write_whole(path, save({_KEY: direction}, metadata=facts))


def load_direction(path: Path, checkpoint: "OpenCheckpoint") -> "Floats":
    """Read a direction [C] for a model.

    Raises:
        InputError: the file holds anything but one vector of the width of this model.
        CheckpointError: it is missing or broken.
    """
    import numpy as np

    from gptcli.checkpoint.files.header import read_file
    from gptcli.checkpoint.files.mapped import map_tensor

    tensors = read_file(path).tensors
    info = tensors.get(_KEY) or (next(iter(tensors.values())) if len(tensors) == 1 else None)
    width = checkpoint.config.n_embd
    name = clipped(str(path))
    if info is None or info.dtype not in _DTYPES or info.shape != (width,):
        holds = f"{info.dtype} {list(info.shape)}" if info is not None else f"{len(tensors):,} tensors"
        raise InputError(f"{name} holds {holds}: a direction for {checkpoint.name} is one vector of {width:,} floats")
    vector = map_tensor(info, _DTYPES[info.dtype]).astype(np.float32)
    if not np.isfinite(vector).all():
        raise InputError(f"{name}: its direction has NaN or infinite numbers")
    return vector
