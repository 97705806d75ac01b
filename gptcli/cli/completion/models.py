"""The models that a script knows by name: those that come with gptcli, the short names, and where downloads lie."""

from gptcli.checkpoint.hub.names import SHORT_NAMES
from gptcli.system.bundled import bundled_names


def model_names() -> list[str]:
    """Bundled and short names; those of downloaded models are found when TAB is pressed."""
    return [*bundled_names(), *SHORT_NAMES]


# The cache of the hub's client, found as the client finds it: a word of bash and of zsh.
CACHE = '"${HF_HUB_CACHE:-${HUGGINGFACE_HUB_CACHE:-${HF_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/huggingface}/hub}}"'
GENERATED = "written by 'python -m gptcli.cli.completion': do not edit"
