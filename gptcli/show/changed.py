"""The line on a picture that it is of a changed model."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptcli.system.notices import notice
from gptcli.text import clipped

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.show.html.page import Page

_LONGEST = 200  # characters


def told(changes: list[str]) -> str:
    """What is changed, in a line."""
    return f"a changed model: {clipped(' '.join(changes), _LONGEST)}"


def tell(changes: list[str] | None) -> None:
    """Say on stderr what is changed in the model, where there is no picture that says so."""
    if changes is not None:
        notice(told(changes))


def with_changes(answer: Any, draw: "Callable[[], RenderableType]") -> "Callable[[], RenderableType]":
    """The picture of an answer, below a line with what was changed in the model, if anything was."""
    changes: list[str] | None = getattr(answer, "changes", None)
    if changes is None:
        return draw
    line = told(changes)

    def both() -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        return Group(Text(line, style="dim"), draw())

    return both


def page_with_changes(answer: Any, page: "Callable[[], Page] | None") -> "Callable[[], Page] | None":
    """The same for the page of an answer, among its facts."""
    changes: list[str] | None = getattr(answer, "changes", None)
    if changes is None or page is None:
        return page
    line, make = told(changes), page

    def both() -> "Page":
        made = make()
        return replace(made, facts=[line, *made.facts])

    return both
