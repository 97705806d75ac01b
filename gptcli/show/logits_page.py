"""The page of ``gptcli logits``: the candidates, and a slider for the temperature."""

from typing import TYPE_CHECKING

from gptcli.show.html.page import Page
from gptcli.show.html.parts import Drawn, PagePart, Softmax
from gptcli.show.logits import draw_next, ending
from gptcli.text import token_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gptcli.probability.next_token import NextToken

# Logits that a page carries: 2 MB, more than any vocabulary takes today.
_MOST_LOGITS = 400_000


def draw_page(answer: "NextToken", logits: "NDArray[np.float32]") -> Page:
    """The candidates as the command draws them, and their probabilities at any temperature.

    Args:
        answer: of the command.
        logits: of the whole vocabulary, before any filter.
    """
    parts: list[PagePart] = [Drawn(lambda: draw_next(answer))]
    first = answer.distributions[0]
    if len(logits) <= _MOST_LOGITS:
        listed = first.candidates + first.watched
        parts.append(
            Softmax(
                title="At any temperature, without filters",
                labels=[token_text(candidate.token) for candidate in listed],
                ids=[candidate.id for candidate in listed],
                logits=logits.astype("<f4").tobytes(),
                temperature=1.0,
            )
        )
    return Page(f"What {answer.model} expects after \u201c{ending(answer.prompt)}\u201d", parts=parts)
