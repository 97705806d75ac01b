"""The user's cache folder: the only one in which gptcli writes and reads derived files."""

import os
import sys
from pathlib import Path

from gptcli.errors import GptcliError


def cache_folder() -> Path:
    """``GPTCLI_CACHE``, else gptcli's folder among this system's caches; it may not exist yet.

    That is ``$XDG_CACHE_HOME/gptcli``, else ``~/.cache/gptcli``, on macOS ``~/Library/Caches/gptcli`` and on Windows
    ``%LOCALAPPDATA%\\gptcli\\Cache``. A relative path counts only in ``GPTCLI_CACHE`` (XDG specification).

    Raises:
        GptcliError: the user has no home folder.
    """
    if own := os.environ.get("GPTCLI_CACHE"):
        return Path(own).absolute()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if shared.is_absolute():
        return shared / "gptcli"
    local = Path(os.environ.get("LOCALAPPDATA", ""))
    if sys.platform == "win32" and local.is_absolute():
        return local / "gptcli" / "Cache"
    try:
        home = Path.home()
    except RuntimeError as error:
        raise GptcliError("there is no home folder to keep a cache in: set GPTCLI_CACHE to a folder") from error
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "gptcli"
