"""What questions about words are answered with: neighbours, similarities and directions."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

from gptcli.embedding.metric import Method, Metric
from gptcli.system.result import Result


@dataclass(frozen=True)
class Row:
    """A row of an embedding.

    Attributes:
        id: its number, from 0: the token's id.
        token: the word; of a GPT the bytes of the token.
    """

    id: int
    token: str | bytes


@dataclass(frozen=True)
class QueryWord:
    """A word of the query.

    Attributes:
        word: as typed.
        weight: its factor.
        tokens: its rows in the embedding; their mean is its vector.
    """

    word: str
    weight: float
    tokens: tuple[Row, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """The numbers of its rows."""
        return tuple(row.id for row in self.tokens)


@dataclass(frozen=True)
class Neighbor:
    """A word of the result.

    Attributes:
        rank: 1 for the most similar.
        id: its row in the embedding, from 0: the token's id.
        token: the word; of a GPT the bytes of the token.
        similarity: with the query, by the result's metric and method.
        in_query: whether it is in the query.
    """

    rank: int
    id: int
    token: str | bytes
    similarity: float
    in_query: bool


@dataclass(frozen=True)
class Neighbors(Result):
    """The words nearest to a point.

    Attributes:
        model: name of the word vectors, or of the GPT whose embedding it is.
        tensor: name of its matrix in the file.
        query: as typed.
        words: the words in it.
        metric: of the similarities.
        method: how the words are combined.
        searched: how many rows were searched.
        neighbors: the nearest, best first.
        notes: for the user, on how the words were read.
    """

    schema: ClassVar[str] = "gptcli.neighbors/1"
    table: ClassVar[str] = "neighbors"

    model: str
    tensor: str
    query: str
    words: tuple[QueryWord, ...]
    metric: Metric
    method: Method
    searched: int
    neighbors: tuple[Neighbor, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Analogy(Neighbors):
    """The words nearest to the value of an expression; see ``Neighbors``.

    Attributes:
        left_out: the words of the query that were searched, with the rank that they would have.
    """

    schema: ClassVar[str] = "gptcli.analogy/1"

    left_out: tuple[Neighbor, ...] = ()


@dataclass(frozen=True)
class Similarities(Result):
    """The similarity of each word with each.

    Attributes:
        model: name of the word vectors, or of the GPT whose embedding it is.
        tensor: name of its matrix in the file.
        metric: of the values.
        labels: the words, or expressions, as typed.
        words: the words in them.
        values: [words][words] similarities (or distances).
        notes: for the user, on how the words were read.
    """

    schema: ClassVar[str] = "gptcli.similarity/1"

    model: str
    tensor: str
    metric: Metric
    labels: tuple[str, ...]
    words: tuple[QueryWord, ...]
    values: tuple[tuple[float, ...], ...]
    notes: tuple[str, ...]

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each two words."""
        for (i, first), (j, second) in combinations(enumerate(self.labels), 2):
            yield {"first": first, "second": second, "similarity": self.values[i][j]}


@dataclass(frozen=True)
class Product:
    """A word measured along a direction.

    Attributes:
        label: the word, or expression, as typed.
        dot: the dot product of its vector with the direction.
    """

    label: str
    dot: float


@dataclass(frozen=True)
class Direction(Result):
    """Words measured along a direction.

    Attributes:
        model: name of the word vectors, or of the GPT whose embedding it is.
        tensor: name of its matrix in the file.
        direction: the expression that gives the direction.
        words: the words in it, and those measured.
        products: the dot product of each measured word with it.
        notes: for the user, on how the words were read.
    """

    schema: ClassVar[str] = "gptcli.direction/1"
    table: ClassVar[str] = "products"

    model: str
    tensor: str
    direction: str
    words: tuple[QueryWord, ...]
    products: tuple[Product, ...]
    notes: tuple[str, ...]
