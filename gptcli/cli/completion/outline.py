"""The command line as data: commands, their arguments and options, and the values of these.

Read from the functions that Typer runs, so that the completion scripts and the manual page say what the app does. Only
Typer's documented API is used: its releases differ in the parser behind it.
"""

import dataclasses
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

# What a shell completes for a value: nothing (a flag), models, files, or nothing known (text).
Completes = Literal["flag", "models", "files", "text"]
# The metavar of a model, as an option and as an argument of "models".
_MODELS = ("MODEL", "NAME|FOLDER|FILE")
# Options with a short list of values that is not an Enum, because other values are possible too.
_LISTED = {"--encoding": ("cl100k_base", "gpt2", "o200k_base", "o200k_harmony", "p50k_base", "p50k_edit", "r50k_base")}


@dataclass(frozen=True)
class Parameter:
    """An option, or an argument.

    Attributes:
        names: of an option, as typed (``-m``, ``--model``), short ones first; empty for an argument.
        metavar: its value in the help; "" for a flag.
        help: what it does, on one line.
        completes: what a shell offers for its value.
        values: the possible values, if they can be listed.
        repeatable: whether it may be given more than once.
        required: whether it must be given.
        default: as text; "" if there is none worth showing.
        envvar: the environment variable that changes the default, or "".
    """

    names: tuple[str, ...]
    metavar: str
    help: str
    completes: Completes
    values: tuple[str, ...]
    repeatable: bool
    required: bool
    default: str
    envvar: str


@dataclass(frozen=True)
class Command:
    """A command, or a group of them.

    Attributes:
        words: as typed: () for the program itself, ("models", "pull").
        help: its description; examples stand in blocks that begin with ``\\b``.
        epilog: the end of the help, of the same form.
        arguments, options: its own; ``--help`` is among the options.
        commands: those below it, in the order of the help.
    """

    words: tuple[str, ...]
    help: str
    epilog: str
    arguments: tuple[Parameter, ...]
    options: tuple[Parameter, ...]
    commands: tuple["Command", ...] = ()

    @property
    def summary(self) -> str:
        """Its first sentence."""
        return self.help.split("\n\n")[0].replace("\n", " ")

    def walk(self) -> Iterator["Command"]:
        """This command and all below it."""
        yield self
        for command in self.commands:
            yield from command.walk()


_HELP = Parameter(("-h", "--help"), "", "Show this message and exit.", "flag", (), False, False, "", "")


def outline(app: typer.Typer) -> Command:
    """The outline of an app.

    Args:
        app: the program itself; its commands are those of the table in ``gptcli.cli.commands``.
    """
    from gptcli.cli.commands import COMMANDS, app_of

    below = (_group(app_of(name), (name,)) for name in COMMANDS)
    return dataclasses.replace(_group(app, ()), commands=tuple(below))


def _group(app: typer.Typer, words: tuple[str, ...]) -> Command:
    if not app.registered_callback and len(app.registered_commands) == 1:  # Typer takes it for the command itself
        only = app.registered_commands[0]
        return _command(only.callback, words, only.epilog)
    # Typer has a placeholder for a group without a callback; ours all have one.
    callback = app.registered_callback
    function, epilog = (callback.callback, callback.epilog) if callback else (None, None)
    commands = [
        _command(info.callback, (*words, info.name or _name(info.callback)), info.epilog)
        for info in app.registered_commands
        if not info.hidden and info.callback is not None
    ]
    own = _command(function, words, epilog if isinstance(epilog, str) else None)
    return Command(words, own.help, own.epilog, own.arguments, own.options, tuple(commands))


def _name(function: Any) -> str:
    return str(function.__name__).replace("_", "-")


def _command(function: Any, words: tuple[str, ...], epilog: str | None) -> Command:
    parameters = [] if function is None else [_parameter(*found, words) for found in _declared(function)]
    visible = [parameter for parameter in parameters if parameter is not None]
    return Command(
        words=words,
        help=(inspect.getdoc(function) or "").replace("\\[", "["),  # a bracket that is not Rich markup
        epilog=inspect.cleandoc(epilog or ""),
        arguments=tuple(parameter for parameter in visible if not parameter.names),
        options=(*(parameter for parameter in visible if parameter.names), _HELP),
    )


def _declared(function: Any) -> Iterator[tuple[str, Any, ArgumentInfo | OptionInfo, Any]]:
    """Each parameter of a command's function: name, type, Typer's info, default."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        # Python 3.10 adds "| None" to the type of a parameter whose default is None.
        hint = next((each for each in get_args(hints[name]) if get_origin(each) is Annotated), hints[name])
        if get_origin(hint) is Annotated:
            kind, *told = get_args(hint)
            info = next(each for each in told if isinstance(each, ArgumentInfo | OptionInfo))
            yield name, kind, info, parameter.default


def _parameter(
    name: str, kind: Any, info: ArgumentInfo | OptionInfo, default: Any, words: tuple[str, ...]
) -> Parameter | None:
    if info.hidden:
        return None
    repeatable, kind = _unwrap(kind)
    names = _names(name, kind, info) if isinstance(info, OptionInfo) else ()
    metavar = "" if kind is bool else info.metavar or name.upper()
    values = tuple(str(choice.value) for choice in kind) if issubclass(kind, Enum) else ()
    return Parameter(
        names=names,
        metavar="|".join(values) or metavar,
        help=" ".join((info.help or "").split()),
        completes=_completes(kind, metavar, names, words),
        values=values or _listed(names, metavar, words),
        repeatable=repeatable,
        required=default is inspect.Parameter.empty,
        default=_default(default, info),
        envvar=info.envvar if isinstance(info.envvar, str) else "",
    )


def _unwrap(kind: Any) -> tuple[bool, Any]:
    """``list[str] | None`` -> whether it is a list, and the type of one value."""
    if get_origin(kind) in (Union, UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is list:
        return True, get_args(kind)[0]
    return False, kind


def _names(name: str, kind: Any, info: OptionInfo) -> tuple[str, ...]:
    spelled = "--" + name.replace("_", "-")
    # Inside Annotated, Typer's first positional argument is called the default.
    given = (info.default, *(info.param_decls or ()))
    declared = [each for each in given if isinstance(each, str) and each.startswith("-")]
    if not declared:
        declared = [f"{spelled}/--no-{spelled[2:]}" if kind is bool else spelled]
    names = [each for declaration in declared for each in declaration.split("/")]
    return tuple(sorted(names, key=lambda each: each.startswith("--")))


def _completes(kind: Any, metavar: str, names: tuple[str, ...], words: tuple[str, ...]) -> Completes:
    if kind is bool:
        return "flag"
    if metavar in _MODELS or (words[:1] == ("models",) and metavar == "NAME" and not names):
        return "models"
    return "files" if kind is Path else "text"


def _listed(names: tuple[str, ...], metavar: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """Values that are not an Enum: tiktoken's encodings, and the published sizes that ``params`` counts."""
    if words == ("params",) and metavar == "MODEL":
        from gptcli.model.presets import PRESETS

        return tuple(PRESETS)
    return next((_LISTED[name] for name in names if name in _LISTED), ())


def _default(default: Any, info: ArgumentInfo | OptionInfo) -> str:
    if isinstance(info.show_default, str):
        return info.show_default
    if default is None or default is inspect.Parameter.empty or isinstance(default, bool) or info.show_default is False:
        return ""
    return str(default.value if isinstance(default, Enum) else default)
