"""``gptcli tour``: the whole machine in a walk of real commands."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gptcli.cli import options
from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.cli.tour import STOPS, our_words, stops
from gptcli.show.terminal.console import DATA_SUFFIXES, stdout_is_terminal
from gptcli.show.tour import Stop, Tour
from gptcli.system.notices import notice

if TYPE_CHECKING:
    from gptcli.inspection.explored import Explored

# The text of the page's last section.
_EXPLORED = "The king took his crown and the queen took her"


@grouped
def tour(
    context: typer.Context,
    *,
    list_: Annotated[bool, typer.Option("--list", help="List the stops, and run nothing.")] = False,
    stop: Annotated[int | None, typer.Option(metavar="N", help="Only this stop.")] = None,
    pace: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0, max=10, callback=options.no_nan, help="Write the lines slowly, for a class."
        ),
    ] = None,
    worksheet: Annotated[
        bool, typer.Option("--worksheet", help="Questions and answers in Markdown, for a class.")
    ] = False,
    output: OutputOptions,
) -> None:
    """Walk through a GPT: from a text to its next token, one real command at a time.

    Each stop explains one step, runs a command that shows it, and points at
    what to see. Enter goes on, b back, a number to that stop; e edits the
    command and runs it, ? helps, q quits. In a pipe all stops follow one
    another. --json, --csv and --md list the stops as data, --save makes a
    picture of the tour.

    \b
    gptcli tour
    gptcli tour --list
    gptcli tour --stop 9
    gptcli tour --pace 0.1
    gptcli tour --save tour.html
    gptcli tour --worksheet > worksheet.md
    """
    form = {name: getattr(output, name) for name in ("json", "csv", "md")}
    options.forbid_together("--worksheet", given=worksheet, list=list_, **form, save=output.save)
    chosen, save = stops(stop), output.save
    if list_ or (output.data and (save is None or save.suffix.lower() in DATA_SUFFIXES)):
        from gptcli.show.tour import draw_list

        if not (output.form or save or stdout_is_terminal()):  # a command on one line, to be copied, whatever the width
            return print(draw_list(chosen))
        return output.present(Tour(chosen), lambda: draw_list(chosen))

    from gptcli.show.tour import draw_list, walk_on, walked
    from gptcli.show.walk import Walk
    from gptcli.show.worksheet import write_worksheet

    if os.environ.pop("GPTCLI_MODEL", None):
        notice("the tour goes through the bundled models; GPTCLI_MODEL is ignored")
    if worksheet:
        return write_worksheet(chosen, lambda each: _run(context, each))
    if save is not None and save.suffix.lower() == ".html":
        from gptcli.show.tour_page import tour_page

        page = tour_page(chosen, lambda each: _run(context, each), _explored() if stop is None else None)
        return output.present(Tour(chosen), lambda: draw_list(chosen), page=lambda: page)
    if save is not None:
        coloured = save.suffix.lower() != ".txt"
        picture = walked(chosen, lambda each: _run(context, each), total=len(STOPS), coloured=coloured)
        return output.present(Tour(chosen), lambda: picture)
    if stdout_is_terminal() and sys.stdin is not None and sys.stdin.isatty():
        return Walk(chosen, lambda line: _run_line(context, line), total=len(STOPS), pace=pace).go()
    walk_on(chosen, lambda each: _run(context, each), total=len(STOPS))


def _explored() -> "Explored":
    """The text whose views end the page."""
    from gptcli.checkpoint.open import open_checkpoint
    from gptcli.inspection.explored import explored

    return explored(open_checkpoint("tales", inside=False), _EXPLORED)


def _run(context: typer.Context, stop: Stop) -> None:
    """Run the command of a stop in this process, as the command line would."""
    root = context.find_root()
    group: Any = root.command
    name, command, rest = group.resolve_command(root, stop.arguments)
    with command.make_context(name, rest, parent=root) as inner:
        command.invoke(inner)


def _run_line(context: typer.Context, line: str) -> None:
    """Run a line as our command line, with its messages; nothing else can be run, and no shell sees the line.

    Raises:
        InputError: it is no command line of ours.
        KeyboardInterrupt: on Ctrl-C.
    """
    words = our_words(line)
    group: Any = context.find_root().command
    try:
        group.main(args=words)
    except SystemExit as done:
        if done.code == 130:
            raise KeyboardInterrupt from None
