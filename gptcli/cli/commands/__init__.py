"""The commands, one thin file each, and the table of them.

A new command is a file of its name and one line in ``COMMANDS``. A command's file is imported when the command is asked
for, so that ``--help`` and completion start at once.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer
from typer.main import get_command

from gptcli.cli.command import SETTINGS, App
from gptcli.cli.saving import titled


def _tour() -> Any:
    from gptcli.cli.commands.tour import tour

    return tour


def _generate() -> Any:
    from gptcli.cli.commands.generate import generate

    return generate


def _chat() -> Any:
    from gptcli.cli.commands.chat import chat

    return chat


def _logits() -> Any:
    from gptcli.cli.commands.logits import logits

    return logits


def _softmax() -> Any:
    from gptcli.cli.commands.softmax import softmax

    return softmax


def _score() -> Any:
    from gptcli.cli.commands.score import score

    return score


def _attention() -> Any:
    from gptcli.cli.commands.attention import attention

    return attention


def _lens() -> Any:
    from gptcli.cli.commands.lens import lens

    return lens


def _explore() -> Any:
    from gptcli.cli.commands.explore import explore

    return explore


def _head() -> Any:
    from gptcli.cli.commands.head import head

    return head


def _neurons() -> Any:
    from gptcli.cli.commands.neurons import neurons

    return neurons


def _trace() -> Any:
    from gptcli.cli.commands.trace import trace

    return trace


def _ablate() -> Any:
    from gptcli.cli.commands.ablate import ablate

    return ablate


def _patch() -> Any:
    from gptcli.cli.commands.patch import patch

    return patch


def _params() -> Any:
    from gptcli.cli.commands.params import params

    return params


def _tokenize() -> Any:
    from gptcli.cli.commands.tokenize import tokenize

    return tokenize


def _similarity() -> Any:
    from gptcli.cli.commands.similarity import similarity

    return similarity


def _neighbors() -> Any:
    from gptcli.cli.commands.neighbors import neighbors

    return neighbors


def _analogy() -> Any:
    from gptcli.cli.commands.analogy import analogy

    return analogy


def _direction() -> Any:
    from gptcli.cli.commands.direction import direction

    return direction


def _map() -> Any:
    from gptcli.cli.commands.map import map

    return map


def _compare() -> Any:
    from gptcli.cli.commands.compare import compare

    return compare


def _bench() -> Any:
    from gptcli.cli.commands.bench import bench

    return bench


def _glossary() -> Any:
    from gptcli.cli.commands.glossary import glossary

    return glossary


def _models() -> Any:
    from gptcli.cli.commands.models import models

    return models


def _schema() -> Any:
    from gptcli.cli.commands.schema import schema

    return schema


def _config() -> Any:
    from gptcli.cli.commands.config import config

    return config


def _help() -> Any:
    from gptcli.cli.commands.help import help

    return help


# In the order of the help: what gives a command's function, or its app where it has commands of its own.
COMMANDS: dict[str, Callable[[], Any]] = {
    "tour": _tour,
    "explore": _explore,
    "generate": _generate,
    "chat": _chat,
    "logits": _logits,
    "softmax": _softmax,
    "score": _score,
    "attention": _attention,
    "lens": _lens,
    "ablate": _ablate,
    "patch": _patch,
    "head": _head,
    "neurons": _neurons,
    "trace": _trace,
    "params": _params,
    "tokenize": _tokenize,
    "similarity": _similarity,
    "neighbors": _neighbors,
    "analogy": _analogy,
    "direction": _direction,
    "map": _map,
    "compare": _compare,
    "bench": _bench,
    "models": _models,
    "glossary": _glossary,
    "schema": _schema,
    "config": _config,
    "help": _help,
}
# Longer names for the same, which the help does not list.
ALIASES: dict[str, Callable[[], Any]] = {"count-params": _params, "embed-similarity": _similarity}


def app_of(name: str) -> typer.Typer:
    """The app of one command, out of its file.

    Raises:
        KeyError: there is no such command.
    """
    command = (COMMANDS | ALIASES)[name]()
    if isinstance(command, typer.Typer):
        for each in command.registered_commands:
            each.callback = each.callback and titled(each.callback)
        return command
    app = App(**SETTINGS)
    own: dict[str, Any] = {setting: getattr(command, setting, None) for setting in ("epilog", "context_settings")}
    app.command(name, hidden=name in ALIASES, **own)(titled(command))
    return app


class Commands(Mapping[str, Any]):
    """Name to command, as a group of Typer's has them; a command's file is imported when the command is asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS | ALIASES)

    def __len__(self) -> int:
        return len(COMMANDS) + len(ALIASES)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS or name in ALIASES

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = get_command(app_of(name))
            self._made[name].name = name
        return self._made[name]
