"""The pictures of ``gptcli generate --explain``: a text coloured by probability, and the candidates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptcli.show.blocks.figures import percent
from gptcli.show.blocks.frame import Frame
from gptcli.show.blocks.narrow import BARS, Narrowing, narrowing
from gptcli.show.blocks.passage import Passage, legend, short_percent
from gptcli.show.blocks.pictures import Bar, table
from gptcli.show.logits import RAW, Candidates, summary
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.probability.choice import Cut, Explanation

# Widths of a row's fields: the token, and logit, probability, the model's probability, rank.
_TOKEN, _FIGURES = 13, (8, 12, 9, 7)


def what_was_cut(cuts: "Sequence[Cut]") -> str:
    """One line about the filters: how many tokens each cut, and their probability under the model."""
    if not cuts:
        return "nothing is cut"
    return "cut: " + " · ".join(f"{cut.filter} {cut.count:,} tokens ({percent(cut.probability)})" for cut in cuts)


def moment(step: "Explanation", most: int | None = None) -> "RenderableType":
    """The candidates for one token, with an arrow at the chosen one.

    Args:
        step: the token.
        most: list no more candidates than this.
    """
    from rich.console import Group
    from rich.text import Text

    chosen = step.chosen
    head = Text(f"token {step.position:,}  ", style="dim").append(f" {token_text(chosen.token)} ", style="not dim bold")
    head.append(f"  {percent(chosen.model_probability)} from the model, rank {chosen.rank:,}")
    facts = Text(f"{what_was_cut(step.cuts)}\n{summary(step.distribution)}", style="dim")
    return Group(head, Candidates(step.distribution, most=most, mark=chosen.id), facts)


def frame(prompt: str, steps: "Sequence[Explanation]", below: str = "") -> "RenderableType":
    """A text while it grows, and the candidates for its newest token.

    Args:
        prompt: text before it.
        steps: the tokens so far.
        below: a line under the candidates.
    """
    from rich.console import Group
    from rich.text import Text

    newest = steps[-1]
    chosen = newest.chosen
    last = [Text(below, style="dim", no_wrap=True, overflow="ellipsis")] if below else []

    def now(most: int) -> "RenderableType":
        return Group(legend(), moment(newest, most), *last)

    def low(most: int) -> "RenderableType":
        return Group(Candidates(newest.distribution, most=most, mark=chosen.id, compact=True), *last)

    return Frame(prompt, steps, now, len(newest.distribution.candidates), low)


def draw(prompt: str, steps: "Sequence[Explanation]") -> "RenderableType":
    """A finished text, and the candidates for its last token."""
    from rich.console import Group

    passage = Passage(prompt, steps)
    return Group(passage, "", legend(), moment(steps[-1])) if steps else passage


def draw_listed(prompt: str, steps: "Sequence[Explanation]") -> "RenderableType":
    """A finished text, and a row for each of its tokens."""
    from rich.console import Group

    return Group(Passage(prompt, steps), "", legend(), _listed(steps)) if steps else Passage(prompt, steps)


def _listed(steps: "Sequence[Explanation]") -> Narrowing:
    made = table(">position", "token", ">probability", f">{RAW}", ">rank", BARS)
    for step in steps:
        chosen = step.chosen
        made.add_row(
            f"{step.position:,}",
            token_text(chosen.token),
            chosen.cut_by or percent(chosen.probability),
            percent(chosen.model_probability),
            f"{chosen.rank:,}",
            Bar(chosen.model_probability),
        )
    return narrowing(made, "position", "rank", RAW, BARS)


def row_heading() -> str:
    """The heading of ``row``."""
    return _fields("position", "token", "logit", "probability", RAW, "rank") + "  candidates"


def row(step: "Explanation", width: int) -> str:
    """One token on one line: its figures, and as many candidates as fit into the width."""
    from rich.cells import cell_len

    chosen = step.chosen
    probability = chosen.cut_by or percent(chosen.probability)
    figures = (f"{chosen.logit:.3f}", probability, percent(chosen.model_probability), f"{chosen.rank:,}")
    line = _fields(f"{step.position:,}", token_text(chosen.token), *figures)
    listed = [
        f"{token_text(each.token)} {each.cut_by or short_percent(each.probability)}"
        for each in step.distribution.candidates
    ]
    for number, candidate in enumerate(listed, start=1):
        left = len(listed) - number
        reserve = cell_len(f"  +{left}") if left else 0
        if cell_len(line) + 2 + cell_len(candidate) + reserve > width:
            return f"{line}  +{left + 1}"
        line += f"  {candidate}"
    return line


def _fields(position: str, token: str, *figures: str) -> str:
    from rich.cells import cell_len

    padded = token + " " * (_TOKEN - cell_len(token))
    columns = "".join(f" {figure:>{width - 1}}" for figure, width in zip(figures, _FIGURES, strict=True))
    return f"{position:>8}  {padded}{columns}"
