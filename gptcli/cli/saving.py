"""``--title``: an option of every command that has ``--save``."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from gptcli.show.picture.title import saving


def _keep(title: str | None) -> str | None:
    saving.title = title
    return title


TitleOption = Annotated[
    str | None,
    typer.Option(
        "--title",
        metavar="TEXT",
        show_default="the command",
        callback=_keep,
        help="Above a saved picture.",
        rich_help_panel="Output",
    ),
]


def titled(command: Callable[..., None]) -> Callable[..., None]:
    """A command for Typer that takes ``--title`` after its ``--save``; others stay as they are."""
    parameters = list(inspect.signature(command, eval_str=True).parameters.values())
    names = [parameter.name for parameter in parameters]
    if "save" not in names or "title" in names:
        return command
    save = parameters[names.index("save")]
    added = inspect.Parameter("title", save.kind, default=None, annotation=TitleOption)
    parameters.insert(names.index("save") + 1, added)

    @functools.wraps(command)
    def flat(*given: Any, title: str | None = None, **named: Any) -> None:  # its callback has kept the title
        command(*given, **named)

    del flat.__wrapped__  # it has other parameters
    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat
