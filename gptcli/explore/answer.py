"""What the screen shows of the text itself: how expected each token was, and the distribution under the cursor."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gptcli.explore.reader import Reader, Reading
from gptcli.explore.state import Part
from gptcli.model.engine import Engine
from gptcli.probability.distribution import Distribution, distribution
from gptcli.sampling.draw import draw_token
from gptcli.sampling.settings import Kept, Sampling
from gptcli.tokenizer import Tokenizer

# Candidates that are listed.
_LISTED = 60


@dataclass(frozen=True)
class Question:
    """What the screen wants to know.

    Attributes:
        ids: the text, as much of it as fits into the context; at least one token.
        cursor: the position whose next token is shown.
        sampling: how that is drawn.
        out: the parts that are taken out.
    """

    ids: tuple[int, ...]
    cursor: int
    sampling: Sampling
    out: frozenset[Part]


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    Attributes:
        asked: the question.
        reading: of the text.
        distribution: after the cursor's token; the token that came is ``watched``.
        whole: the same with nothing taken out, where something is; else None.
    """

    asked: Question
    reading: Reading
    distribution: Distribution
    whole: Distribution | None


class Answers:
    """Answers questions, one at a time; what did not change is kept.

    Args:
        engine: the model.
        changed: makes an engine without some parts.
        tokenizer: of the model.
        n_vocab: ids from here on are padding.
    """

    def __init__(
        self,
        engine: Engine,
        changed: Callable[[frozenset[Part]], Engine],
        tokenizer: Tokenizer,
        n_vocab: int,
    ) -> None:
        self._tokenizer, self._n_vocab, self._changed = tokenizer, n_vocab, changed
        self.whole = Reader(engine, n_vocab)
        self._without: tuple[frozenset[Part], Reader] | None = None

    def answer(self, asked: Question) -> Answer:
        """Answer a question.

        Raises:
            GptcliError: the model cannot read it.
        """
        reader = self._reader(asked.out)
        reading = reader.read(asked.ids)
        came = list(asked.ids[asked.cursor + 1 : asked.cursor + 2])
        found = self._distribution(reader, asked, came)
        if not asked.out:
            return Answer(asked, reading, found, None)
        self.whole.read(asked.ids)
        listed = [each.id for each in found.candidates] + came
        return Answer(asked, reading, found, self._distribution(self.whole, asked, listed))

    def draw(self, asked: Question, generator: np.random.Generator) -> int:
        """Draw the token after the cursor.

        Raises:
            GptcliError: as ``answer``.
        """
        reader = self._reader(asked.out)
        reader.read(asked.ids)
        logits = reader.logits(asked.cursor)
        return draw_token(Kept.of(asked.sampling.filter(logits, asked.ids[: asked.cursor + 1])), generator)

    def _reader(self, out: frozenset[Part]) -> Reader:
        if not out:
            return self.whole
        if self._without is None or self._without[0] != out:
            self._without = (out, Reader(self._changed(out), self._n_vocab))
        return self._without[1]

    def _distribution(self, reader: Reader, asked: Question, watch: list[int]) -> Distribution:
        seen = asked.ids[: asked.cursor + 1]
        logits = reader.logits(asked.cursor)
        return distribution(logits, self._tokenizer, asked.sampling, top=_LISTED, watch=watch, seen=seen)
