"""Words on a map: points of an embedding, and arrows between them, along three axes."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from gptcli.embedding.answers import QueryWord
from gptcli.embedding.expression import Expression, check_length, parse
from gptcli.embedding.load import Embedding
from gptcli.embedding.matrix import Doubles
from gptcli.embedding.metric import Metric
from gptcli.embedding.queries import notes_on, points_of, read_word
from gptcli.errors import CheckpointError, InputError
from gptcli.system.answer import row_of
from gptcli.system.result import Result
from gptcli.text import clipped

if TYPE_CHECKING:
    from gptcli.embedding.projection import Projection

_ARROW = re.compile("->|→")
_MOST_POINTS = 20_000
_TOO_FEW = "a map takes two words or more: gptcli map king queen, or gptcli map king --neighbors 10"


@dataclass(frozen=True)
class MapAxis:
    """One direction of the map.

    Attributes:
        name: PC1, PC2, ..., or the expression that gives the direction.
        share: the part of the points' variance along it.
        mean: the dot product of the points' mean with the axis (of length 1); add it to a coordinate for the dot
            product with the word's own vector.
    """

    name: str
    share: float
    mean: float


@dataclass(frozen=True)
class MapPoint:
    """A word, or expression, on the map.

    Attributes:
        label: as typed; a neighbour's word, or the bytes of its token.
        ids: its rows in the embedding; none for an expression.
        neighbor_of: the word that it is a neighbour of; None for one that was given.
        similarity: its cosine similarity with that word.
        coordinates: along each axis, from the mean of all points on the map.
    """

    label: str | bytes
    ids: tuple[int, ...]
    neighbor_of: str | None
    similarity: float | None
    coordinates: tuple[float, ...]


@dataclass(frozen=True)
class MapArrow:
    """An arrow from a word to a word.

    Attributes:
        start: the number of the point that it begins at, from 1.
        end: of the point that it leads to.
        length: the distance between them, in all dimensions.
        cosine: the cosine similarity of its direction with that of the first arrow, in all dimensions.
    """

    start: int
    end: int
    length: float
    cosine: float


@dataclass(frozen=True)
class WordMap(Result):
    """Words along three axes.

    Attributes:
        model: name of the word vectors, or of the GPT whose embedding it is.
        tensor: name of its matrix in the file.
        dimensions: how many the embedding has.
        axes: three; the first two are the plane of the terminal.
        axes_cosine: the cosine of two given axes; None with fewer.
        points: those given, in order, then their neighbours.
        arrows: the pairs.
        words: the words given.
        notes: for the user, on how the words were read.
    """

    schema: ClassVar[str] = "gptcli.map/1"

    model: str
    tensor: str
    dimensions: int
    axes: tuple[MapAxis, ...]
    axes_cosine: float | None
    points: tuple[MapPoint, ...]
    arrows: tuple[MapArrow, ...]
    words: tuple[QueryWord, ...]
    notes: tuple[str, ...]

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each point, with a column for its place along each axis."""
        for point in self.points:
            row = row_of(point)
            places = row.pop("coordinates")
            yield row | {axis.name: place for axis, place in zip(self.axes, places, strict=False)}


@dataclass(frozen=True)
class _Found:
    """A row of the embedding near a word."""

    row: int
    near: str
    similarity: float


def word_map(
    embedding: Embedding,
    texts: Sequence[str],
    *,
    axes: Sequence[str] = (),
    neighbors: int = 0,
    restrict: int | None = None,
) -> WordMap:
    """Lay words out along the axes of their greatest variance, or along given directions.

    Args:
        embedding: of the words. Vectors are not normalised, and the points' mean is the origin.
        texts: words, expressions, or arrows between them (man->woman).
        axes: at most two expressions, whose directions are the first axes.
        neighbors: how many words to add for each word, by cosine similarity.
        restrict: search neighbours in the first rows only.

    Raises:
        InputError: fewer than two points or too many, more than two axes, an unknown word, or points that are all
            equal.
        ExpressionError: a text is neither a word nor an expression.
        CheckpointError: a vector holds NaN or infinity.
    """
    import numpy as np

    from gptcli.embedding.projection import project

    if len(axes) > 2:
        raise InputError(f"a map has two axes: {len(axes)} --axis are too many")
    labels, pairs = _labels_and_pairs(embedding, texts)
    if not labels:
        raise InputError(_TOO_FEW)
    _check_number(len(labels), min(neighbors, embedding.matrix.count(restrict)))
    expressions = [read_word(embedding, label) for label in labels]
    directions = [parse(axis) for axis in axes]
    points, words = points_of(embedding, [*expressions, *directions])
    asked, own = points[: len(labels)], points[len(labels) :]
    ids = [_rows(embedding, expression) for expression in expressions]
    found = _neighbors(embedding, list(zip(labels, asked, ids, strict=True)), neighbors, restrict)
    near = embedding.matrix.take([item.row for item in found])
    everything = np.concatenate([asked, near]) if found else asked
    if len(everything) < 2:
        raise InputError(_TOO_FEW)
    if not np.isfinite(everything).all() or not np.isfinite(own).all():
        raise CheckpointError(f"{embedding.name} {embedding.tensor} holds NaN or infinity: the file is broken")
    seen = project(everything, list(own))
    names = [direction.text for direction in directions]
    return WordMap(
        embedding.name,
        embedding.tensor,
        embedding.matrix.shape[1],
        _axes(seen, names),
        float(seen.directions[0] @ seen.directions[1]) if len(own) == 2 else None,
        _map_points(embedding, labels, ids, found, seen),
        _arrows(asked, pairs),
        words,
        notes_on(embedding, words, [*expressions, *directions]),
    )


def _check_number(words: int, neighbors: int) -> None:
    points = words * (1 + neighbors)
    if points > _MOST_POINTS:
        advice = "a smaller --neighbors" if neighbors else "fewer words"
        raise InputError(
            f"{points:,} points are too many to be told apart on a map: {_MOST_POINTS:,} at most ({advice})"
        )


def _labels_and_pairs(embedding: Embedding, texts: Sequence[str]) -> tuple[list[str], list[tuple[int, int]]]:
    """The words, each once, and the pairs that arrows connect."""
    labels: dict[str, int] = {}
    pairs: dict[tuple[int, int], None] = {}
    for text in texts:
        check_length(text)
        parts = [text] if embedding.vocabulary.has(text) else [part.strip() for part in _ARROW.split(text)]
        if not all(parts) or any(a == b for a, b in pairwise(parts)):
            raise InputError(f"'{clipped(text)}': an arrow leads from a word to another, as in \"man->woman\"")
        ends = [labels.setdefault(part, len(labels)) for part in parts]
        pairs |= dict.fromkeys(pairwise(ends))
    return list(labels), list(pairs)


def _rows(embedding: Embedding, expression: Expression) -> tuple[int, ...]:
    """The rows of a text that is one word."""
    (term, *more) = expression.terms
    return () if more or term.weight != 1 else embedding.vocabulary.rows(term.word)


def _neighbors(
    embedding: Embedding, asked: Sequence[tuple[str, Doubles, tuple[int, ...]]], count: int, restrict: int | None
) -> list[_Found]:
    """The rows nearest to each word, without repetitions and without the given words."""
    from gptcli.embedding.vectors import nearest

    taken = {row for _, _, ids in asked if len(ids) == 1 for row in ids}
    found = []
    for label, point, ids in asked if count else ():
        if not point.any():
            raise InputError(f"'{clipped(label)}' comes to the zero vector, and nothing is near to that")
        near = nearest(embedding.matrix, point, Metric.cosine, count, restrict, left_out=ids)
        found += [_Found(item.row, label, item.score) for item in near if item.row not in taken]
        taken |= {item.row for item in near}
    return found


def _axes(seen: "Projection", names: Sequence[str]) -> tuple[MapAxis, ...]:
    components = [f"PC{number}" for number in range(1, 4)]
    return tuple(
        MapAxis(name, float(share), float(mean))
        for name, share, mean in zip([*names, *components], seen.shares, seen.means, strict=False)
    )


def _map_points(
    embedding: Embedding,
    labels: Sequence[str],
    ids: Sequence[tuple[int, ...]],
    found: Sequence[_Found],
    seen: "Projection",
) -> tuple[MapPoint, ...]:
    coordinates = [tuple(map(float, row)) for row in seen.coordinates]
    asked = [MapPoint(label, rows, None, None, at) for label, rows, at in zip(labels, ids, coordinates, strict=False)]
    near = [
        MapPoint(embedding.vocabulary.name(item.row), (item.row,), item.near, item.similarity, at)
        for item, at in zip(found, coordinates[len(labels) :], strict=True)
    ]
    return (*asked, *near)


def _arrows(asked: Doubles, pairs: Sequence[tuple[int, int]]) -> tuple[MapArrow, ...]:
    import numpy as np

    from gptcli.embedding.vectors import pairwise as cosines_between

    if not pairs:
        return ()
    steps = np.stack([asked[end] - asked[start] for start, end in pairs])
    cosines = cosines_between(steps, Metric.cosine)[0]
    lengths = np.linalg.norm(steps, axis=1)
    return tuple(
        MapArrow(start + 1, end + 1, float(length), float(cosine))
        for (start, end), length, cosine in zip(pairs, lengths, cosines, strict=True)
    )
