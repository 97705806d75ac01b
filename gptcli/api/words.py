"""Loaded word vectors: a method for each command that asks for words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptcli.api.choices import Metric, one_of
from gptcli.system.named_options import tells_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gptcli.embedding.answers import Direction, Neighbors, Similarities
    from gptcli.embedding.load import Embedding
    from gptcli.embedding.word_map import WordMap

    Floats = NDArray[np.float32]


@tells_options
class LoadedWords:
    """Words and their vectors. Comes from ``load_words``.

    Attributes:
        embedding: the vectors and their vocabulary.
    """

    def __init__(self, embedding: "Embedding") -> None:
        self.embedding = embedding

    def __repr__(self) -> str:
        rows, width = self.embedding.matrix.shape
        return f"<gptcli {self.embedding.name}: {rows:,} vectors of {width} numbers>"

    def __contains__(self, word: str) -> bool:
        return self.embedding.vocabulary.has(word)

    def vector(self, word: str) -> "Floats":
        """The vector of a word, [d]; the mean of its tokens where a GPT has several for it.

        Raises:
            InputError: the word is unknown.
        """
        return self.embedding.vector(self.embedding.vocabulary.rows(word))

    def neighbors(self, word: str, *, top: int = 10) -> "Neighbors":
        """The words nearest to one, by cosine similarity.

        Raises:
            InputError: the word is unknown.
        """
        from gptcli.embedding.queries import neighbors

        return neighbors(self.embedding, word, top=top)

    def analogy(self, expression: str, *, top: int = 10) -> "Neighbors":
        """The words nearest to what an expression such as ``king-man+woman`` comes to.

        Raises:
            ExpressionError: it does not parse.
            InputError: a word in it is unknown.
        """
        from gptcli.embedding.expression import parse
        from gptcli.embedding.queries import analogy

        return analogy(self.embedding, parse(expression), top=top)

    def similarity(self, *words: str, metric: Metric = "cosine") -> "Similarities":
        """How alike two or more words are, each to each.

        Raises:
            InputError: fewer than two, or an unknown word.
        """
        from gptcli.embedding.metric import Metric as Metrics
        from gptcli.embedding.queries import similarity

        return similarity(self.embedding, words, Metrics(one_of(metric, Metric, "metric")))

    def direction(self, expression: str, *words: str, sort: bool = True) -> "Direction":
        """The dot product of words with a direction such as ``cats-cat``.

        Args:
            expression: the direction.
            words: to measure.
            sort: largest first, instead of the order given.

        Raises:
            ExpressionError: it does not parse.
            InputError: no words, or an unknown one.
        """
        from gptcli.embedding.expression import parse
        from gptcli.embedding.queries import direction

        return direction(self.embedding, parse(expression), words, sort=sort)

    def map(self, *words: str, axes: Sequence[str] = (), neighbors: int = 0) -> "WordMap":
        """Words on a plane and in space, along the axes of their greatest variance.

        Args:
            words: words, expressions, or arrows such as ``"man->woman"``.
            axes: at most two expressions, whose directions are the first axes.
            neighbors: add so many of the nearest words of each.

        Raises:
            InputError: fewer than two words, more than two axes, or an unknown word.
        """
        from gptcli.embedding.word_map import word_map

        return word_map(self.embedding, words, axes=axes, neighbors=neighbors)
