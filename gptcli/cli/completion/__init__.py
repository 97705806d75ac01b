"""Completion scripts for bash, zsh and fish, and the manual page: all generated from the app's own outline.

The scripts do not start Python: they contain commands, options and their values, and list downloaded models from the
folders of the hub's cache. ``python -m gptcli.cli.completion`` writes
``completions/``.
"""

import typer

from gptcli.cli.completion.bash import bash_script
from gptcli.cli.completion.fish import fish_script
from gptcli.cli.completion.manual import manual_page
from gptcli.cli.completion.outline import outline
from gptcli.cli.completion.zsh import zsh_script

SCRIPTS = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}


def files(app: typer.Typer) -> dict[str, str]:
    """The files of ``completions/``: name -> text."""
    whole = outline(app)
    return {
        "gptcli.bash": bash_script(whole),
        "_gptcli": zsh_script(whole),
        "gptcli.fish": fish_script(whole),
        "gptcli.1": manual_page(whole),
    }
