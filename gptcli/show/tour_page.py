"""The page of ``gptcli tour``: each stop with what its command shows, interactive where that is."""

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from gptcli.show.explore_page.page import explore_page
from gptcli.show.html.page import Page
from gptcli.show.html.parts import Drawn, PagePart, Section
from gptcli.show.pointing import pointed_at
from gptcli.show.terminal.watching import answers_kept, pictures_kept

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.inspection.explored import Explored
    from gptcli.show.tour import Stop

_FACTS = (
    "From a text to its next token, one command at a time. What you see at each stop was computed by the command above "
    "it, on the small models that gptcli brings along; with your own words, it runs in a terminal.",
)
_HOW = (
    "Point at a token, a word or a field, tap it, or move with Tab and the arrow keys: its numbers stand here. Enter "
    "keeps them, Escape lets go."
)


def tour_page(stops: "Sequence[Stop]", run: "Callable[[Stop], None]", explored: "Explored | None" = None) -> Page:
    """The page.

    Args:
        stops: to show.
        run: runs the command of a stop, whose pictures are kept and whose output is not printed.
        explored: a text whose views under one cursor end the walk; None: none.
    """
    sections = [_section(stop, run) for stop in stops]
    if explored is not None:
        sections.append(_everything(len(sections) + 1, explored))
    return Page("A walk through a GPT", _FACTS, sections=sections, how=_HOW)


def _everything(number: int, explored: "Explored") -> Section:
    """What the stops showed one by one, for one text."""
    return Section(
        number=number,
        title="All of it, under one cursor",
        text="Tokens and their surprise, where each head looks, what each layer would say, and what may come next: "
        "choose a token, and all of these follow. Turn the sliders, and the next token follows them.",
        command=f'gptcli explore "{explored.text}" --save page.html',
        facts=(),
        parts=explore_page(explored).parts,
    )


def _section(stop: "Stop", run: "Callable[[Stop], None]") -> Section:
    with answers_kept([]) as answers, pictures_kept() as pictures, redirect_stdout(io.StringIO()) as printed:
        run(stop)
    facts: list[str] = []
    parts: list[PagePart] = []
    for shown in pictures:
        if shown.page is None:
            parts.append(Drawn(shown.draw))
        else:
            page = shown.page()
            facts += page.facts
            parts += page.parts
    if not parts:
        parts.append(Drawn(lambda: _written(printed.getvalue())))
    said = pointed_at(answers[-1]) if answers else pointed_at(None, stop.arguments[:1])
    return Section(
        number=stop.number,
        title=stop.title,
        text=stop.text,
        command=stop.command,
        facts=facts,
        parts=parts,
        said=said,
        note=stop.note,
        question=stop.question,
        answer=stop.answer,
    )


def _written(text: str) -> "RenderableType":
    """A text that a command wrote."""
    from rich.text import Text

    from gptcli.text import visible

    return Text(visible(text))
