"""The user's configuration file: where it is, and what it holds."""

import os
import sys
from pathlib import Path
from typing import Any

from gptcli.errors import InputError
from gptcli.system.text_file import MOST_LINE, read_text_file
from gptcli.text import clipped


def config_file() -> Path | None:
    """``$XDG_CONFIG_HOME/gptcli/config.toml``, else ``~/.config/gptcli/config.toml``; it may not exist.

    On Windows ``%APPDATA%\\gptcli\\config.toml``. None: the user has no home folder. A relative path in
    ``XDG_CONFIG_HOME`` does not count (XDG specification).
    """
    shared = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if shared.is_absolute():
        return shared / "gptcli" / "config.toml"
    roaming = Path(os.environ.get("APPDATA", ""))
    if sys.platform == "win32" and roaming.is_absolute():
        return roaming / "gptcli" / "config.toml"
    try:
        return Path.home() / ".config" / "gptcli" / "config.toml"
    except RuntimeError:
        return None


def read_config() -> dict[str, Any]:
    """The configuration; empty where there is no file.

    Raises:
        InputError: the file cannot be read, or is not TOML.
    """
    file = config_file()
    if file is None or not os.path.lexists(file):
        return {}
    if sys.version_info >= (3, 11):  # imported only where there is a file: every command asks for it
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(read_text_file(file, MOST_LINE))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{clipped(str(file))} is not TOML: {error}") from error
    except RecursionError as error:
        raise InputError(f"{clipped(str(file))} is nested too deeply") from error
