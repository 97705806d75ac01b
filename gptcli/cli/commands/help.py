"""``gptcli help``: the help of a command."""

from typing import Annotated

import typer


def help(
    context: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", show_default=False, help="Its words; else all commands.")
    ] = None,
) -> None:
    """Show the help of a command: what COMMAND --help shows.

    \b
    gptcli help
    gptcli help logits
    gptcli help models pull
    """
    root = context.find_root()
    root.command.main([*(command or []), "--help"], prog_name=root.info_name)
