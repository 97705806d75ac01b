"""The pictures of ``analogy --evaluate`` and ``similarity --evaluate``."""

from typing import TYPE_CHECKING

from gptcli.show.blocks.pictures import table
from gptcli.show.vectors import SpanBar
from gptcli.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.embedding.evaluation import AnalogyScore, PairScore


def draw_analogy_score(score: "AnalogyScore") -> "RenderableType":
    """Accuracy by section, and over all."""
    from rich.console import Group
    from rich.text import Text

    head = Text(visible(score.file.name, keep=""), style="bold")
    head.append(f"\n{visible(score.model, keep='')} {score.tensor}, {score.restrict:,} searched", style="not bold dim")
    listed = table("section", ">correct", ">of", ">skipped", ">accuracy", "")
    for index, section in enumerate((*score.sections, score.total)):
        last = index == len(score.sections)
        listed.add_row(
            visible(section.name, keep=""),
            f"{section.correct:,}",
            f"{section.total:,}",
            f"{section.unknown:,}" if section.unknown else "",
            f"{section.accuracy:.1%}",
            SpanBar(section.accuracy, 0.0, 1.0),
            style="bold" if last else None,
            end_section=index == len(score.sections) - 1,
        )
    return Group(head, listed)


def draw_pair_score(score: "PairScore") -> "RenderableType":
    """The correlations with the human scores."""
    from rich.console import Group
    from rich.text import Text

    head = Text(visible(score.file.name, keep=""), style="bold")
    head.append(f"\n{visible(score.model, keep='')} {score.tensor}, cosine similarity", style="not bold dim")
    listed = table("correlation", ">", "")
    for name, value in (("Spearman's rho", score.spearman), ("Pearson's r", score.pearson)):
        listed.add_row(name, "undefined" if value is None else f"{value:.3f}", SpanBar(value or 0.0, 0.0, 1.0))
    return Group(head, listed, Text(f"{score.pairs:,} pairs, {score.unknown:,} with an unknown word", style="dim"))
