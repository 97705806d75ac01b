"""Completion scripts for bash, zsh and fish, and the manual page: all written from the app's own outline.

The scripts answer a TAB by themselves, without starting Python: commands, options and their values are written into
them, and the models that were downloaded are the folders of the hub's cache. ``python -m gptcli.completion`` writes
``completions/``.
"""

import typer

from gptcli.completion.bash import bash_script
from gptcli.completion.fish import fish_script
from gptcli.completion.manual import manual_page
from gptcli.completion.outline import outline
from gptcli.completion.zsh import zsh_script

SCRIPTS = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}


def files(app: typer.Typer) -> dict[str, str]:
    """What belongs in ``completions/``: the text of each file by its name."""
    whole = outline(app)
    return {
        "gptcli.bash": bash_script(whole),
        "_gptcli": zsh_script(whole),
        "gptcli.fish": fish_script(whole),
        "gptcli.1": manual_page(whole),
    }
