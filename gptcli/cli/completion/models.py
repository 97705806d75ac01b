"""The models in the scripts: bundled ones, short names, and the folder of downloads."""

from gptcli.checkpoint.hub.names import SHORT_NAMES
from gptcli.system.bundled import bundled_names


def model_names() -> list[str]:
    """Bundled and short names; downloaded models are listed when TAB is pressed."""
    return [*bundled_names(), *SHORT_NAMES]


# The folder of the hub's cache, as a word of bash and zsh.
CACHE = '"${HF_HUB_CACHE:-${HUGGINGFACE_HUB_CACHE:-${HF_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/huggingface}/hub}}"'
GENERATED = "written by 'python -m gptcli.cli.completion': do not edit"
