"""``gptcli config``: the defaults that the user set."""

from typing import Annotated, Any

import typer

from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.cli.settings import all_settings
from gptcli.errors import InputError
from gptcli.system.config_file import config_file


@grouped
def config(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", show_default=False, help="Show all options of this command."),
    ] = None,
    *,
    output: OutputOptions,
) -> None:
    """Show the defaults that you set, and where each comes from.

    An option's default is what GPTCLI_<OPTION> says (GPTCLI_TEMPERATURE=0.7),
    else the file config.toml in ~/.config/gptcli (XDG_CONFIG_HOME): first the
    table of the command, then what stands above all tables, for every command
    that has the option. What is typed goes before both.

    \b
    temperature = 0.7
    \b
    [score]
    stride = 128
    \b
    gptcli config
    gptcli config generate
    """
    from gptcli.show.config import Configuration, Value, draw

    root: Any = context.find_root().command
    words = tuple(command or ())
    file = config_file()
    answer = Configuration(
        None if file is None else str(file),
        file is not None and file.is_file(),
        [Value(*each) for each in all_settings(root, words)],
    )
    if words and not answer.settings:
        raise InputError(f"there is no command {' '.join(words)} with options (gptcli help lists the commands)")
    output.present(answer, lambda: draw(answer))
