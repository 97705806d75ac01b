"""Completion scripts for bash, zsh and fish, and the manual page: all written from the app's own outline.

The scripts answer a TAB by themselves, without starting Python: commands, options and their values are written into
them, and the models that were downloaded are the folders of the hub's cache. ``python -m gptcli.completion`` writes
``completions/`` anew.
"""

from gptcli.completion.bash import bash_script
from gptcli.completion.fish import fish_script
from gptcli.completion.manual import manual_page
from gptcli.completion.outline import outline
from gptcli.completion.zsh import zsh_script

SCRIPTS = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}


def files() -> dict[str, str]:
    """What belongs in ``completions/``: the text of each file by its name."""
    app = outline()
    return {
        "gptcli.bash": bash_script(app),
        "_gptcli": zsh_script(app),
        "gptcli.fish": fish_script(app),
        "gptcli.1": manual_page(app),
    }
