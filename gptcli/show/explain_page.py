"""The page of ``gptcli generate --explain``: pointing at a token shows its candidates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptcli.show.blocks.figures import percent
from gptcli.show.blocks.passage import LEGEND
from gptcli.show.html.page import Page
from gptcli.show.html.parts import Cell, Choice, Strip
from gptcli.text import token_text

if TYPE_CHECKING:
    from gptcli.probability.choice import Explanation

_MOST_CHOICES = 100
_NAMES = ("the model gave it", "drawn at", "rank", "logit", "entropy of the draw", "cut")


def draw_page(texts: "Sequence[tuple[str, list[Explanation]]]") -> Page:
    """Each text, coloured by probability.

    Args:
        texts: prompts, and the tokens that were added to each.
    """
    strips = [
        Strip(f"Text {number}" if len(texts) > 1 else "", _NAMES, list(map(_cell, steps)), LEGEND, before=prompt)
        for number, (prompt, steps) in enumerate(texts, start=1)
    ]
    return Page("What each token was chosen from", [], strips)


def _cell(step: "Explanation") -> Cell:
    from gptcli.show.explain import what_was_cut

    chosen, distribution = step.chosen, step.distribution
    numbers = (
        percent(chosen.model_probability),
        percent(chosen.probability),
        f"{chosen.rank:,}",
        f"{chosen.logit:.3f}",
        f"{distribution.entropy_bits:.3f} bits",
        what_was_cut(step.cuts).removeprefix("cut: "),
    )
    listed = distribution.candidates + distribution.watched
    most = max(candidate.probability for candidate in listed) or 1.0
    listed = listed[:_MOST_CHOICES]
    choices = [
        Choice(
            label=token_text(candidate.token),
            value=candidate.cut_by or percent(candidate.probability),
            fraction=candidate.probability / most,
            chosen=candidate.id == chosen.id,
            cut=candidate.cut_by is not None,
        )
        for candidate in listed
    ]
    return Cell(token_text(chosen.token), chosen.model_probability, numbers, choices)
