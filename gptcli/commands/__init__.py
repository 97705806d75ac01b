"""The commands, one thin file each, and the table of them."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.main import get_command

# In the order of the help: functions, or apps with commands of their own, each in the file of its name.
NAMES = (
    "tour",
    "generate",
    "chat",
    "logits",
    "score",
    "attention",
    "lens",
    "trace",
    "params",
    "tokenize",
    "similarity",
    "neighbors",
    "analogy",
    "direction",
    "map",
    "bench",
    "models",
)
# Longer names for the same, which the help does not list.
ALIASES = {"count-params": "params", "embed-similarity": "similarity"}
_FILES = {name: name for name in NAMES} | ALIASES

# What every app of ours, large or small, tells Typer.
SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


def app_of(name: str) -> typer.Typer:
    """The app of one command, out of its file.

    Raises:
        KeyError: there is no such command.
    """
    own = _FILES[name]
    module = import_module(f"{__name__}.{own}")
    command = getattr(module, own)
    if isinstance(command, typer.Typer):
        return command
    app = typer.Typer(**SETTINGS)
    app.command(name, hidden=name in ALIASES, epilog=getattr(module, "EPILOG", None))(command)
    return app


class Commands(Mapping[str, Any]):
    """Name to command, as a group of Typer's has them; a command's file is imported when the command is asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(_FILES)

    def __len__(self) -> int:
        return len(_FILES)

    def __contains__(self, name: object) -> bool:
        return name in _FILES

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = get_command(app_of(name))
            self._made[name].name = name
        return self._made[name]
