"""``gptcli tour``: the whole machine in a walk of real commands."""

import os
import sys
from typing import Annotated, Any

import typer

from gptcli.cli.options import JsonOption, SaveOption
from gptcli.cli.tour import STOPS, stops
from gptcli.show.terminal.console import present, stdout_is_terminal
from gptcli.show.tour import Stop, Tour
from gptcli.system.notices import notice


def tour(
    context: typer.Context,
    list_: Annotated[bool, typer.Option("--list", help="List the stops, and run nothing.")] = False,
    stop: Annotated[int | None, typer.Option(metavar="N", help="Only this stop.")] = None,
    json: JsonOption = False,
    save: SaveOption = None,
) -> None:
    """Walk through a GPT: from a text to its next token, one real command at a time.

    Each stop explains one step, and runs a command that shows it. Enter goes
    on, b goes back, q quits; in a pipe all stops follow one another. --json
    lists the stops as data, --save makes a picture of the tour.

    \b
    gptcli tour
    gptcli tour --list
    gptcli tour --stop 9
    gptcli tour --save tour.html
    gptcli tour | less -R
    """
    chosen = stops(stop)
    if list_ or (json and save is None):
        from gptcli.show.tour import draw_list

        return present(Tour(chosen), lambda: draw_list(chosen), as_json=json, save=save)

    from gptcli.show.tour import walk, walked

    if os.environ.pop("GPTCLI_MODEL", None):
        notice("the tour goes through the bundled models; GPTCLI_MODEL is ignored")
    if save is not None:
        coloured = save.suffix.lower() != ".txt"
        picture = walked(chosen, lambda each: _run(context, each), total=len(STOPS), coloured=coloured)
        return present(Tour(chosen), lambda: picture, as_json=json, save=save)
    ask = stdout_is_terminal() and sys.stdin is not None and sys.stdin.isatty()
    walk(chosen, lambda each: _run(context, each), ask=ask, total=len(STOPS))


def _run(context: typer.Context, stop: Stop) -> None:
    """Run the command of a stop in this process, as the command line would."""
    root = context.find_root()
    group: Any = root.command
    name, command, rest = group.resolve_command(root, stop.arguments)
    with command.make_context(name, rest, parent=root) as inner:
        command.invoke(inner)
