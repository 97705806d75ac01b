"""Defaults of options that the user sets: ``GPTCLI_<OPTION>`` in the environment, else the configuration file.

In the file, keys of the first level are options of every command that has them; a table is named after a command::

    temperature = 0.7
    [score]
    stride = 128
    [models.list]
    json = true
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from gptcli.errors import InputError
from gptcli.system.config_file import config_file, read_config
from gptcli.text import clipped, quoted

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
# What asks for something else than a command's work, and has no default.
_NOT_SETTINGS = ("help", "version", "verbose", "show_completion")
# GPTCLI_CACHE is a folder (cache_folder).
_OTHER_VARIABLES = {"cache": "GPTCLI_CACHE_TYPE"}
# The options of the running command that have their values from here, with the origins of these.
_from_settings: ContextVar[Mapping[str, str] | None] = ContextVar("from_settings", default=None)


@dataclass(frozen=True)
class Setting:
    """The value of an option that the user set.

    Attributes:
        option: its long name, without dashes.
        value: as Typer takes it.
        origin: where it stands, for people.
    """

    option: str
    value: Any
    origin: str


def options_of(command: Any) -> dict[str, Any]:
    """The options of a command that may have settings, by long name."""
    return {
        name: option
        for option in command.params
        if option.param_type_name == "option" and option.name not in _NOT_SETTINGS
        for name in [max(option.opts, key=len).lstrip("-")]
    }


def settings_of(command: Any, words: tuple[str, ...], root: Any) -> dict[str, Setting]:
    """What the user set for the options of one command, by the option's parameter name.

    Args:
        command: Typer's.
        words: how it is called, without the program's name; () for the program's own options.
        root: the program, whose commands the file names.

    Raises:
        InputError: the file names a command or an option that does not exist, or a value has the wrong type.
    """
    options, file, config = options_of(command), config_file(), read_config()
    found: dict[str, Setting] = {}
    for key, value, table in _entries(config, words, root):
        origin = f"{clipped(str(file))}, [{table}]" if table else clipped(str(file))
        option = options.get(_option_name(key))
        if option is None and table:
            what = f"'gptcli {table.replace('.', ' ')}'"
            raise InputError(f"{origin}: {what} has no option {quoted(key, 40)}{_did_you_mean(key, options)}")
        if option is None:
            _check_somewhere(key, origin, root)
        elif table or _is_shared(option):
            found[option.name] = Setting(_option_name(key), _typed(option, value, f"{origin}: {key}"), origin)
    for name, option in options.items():
        variable = variable_of(name)
        if _is_shared(option) and os.environ.get(variable):
            found[option.name] = Setting(name, _read(option, os.environ[variable], variable), variable)
    return found


def variable_of(option: str) -> str:
    """The environment variable of an option."""
    return _OTHER_VARIABLES.get(option) or f"GPTCLI_{option.upper().replace('-', '_')}"


def took_settings(origins: Mapping[str, str]) -> None:
    """Remember the options (long names) of the running command that have their values from settings, and whence."""
    _from_settings.set({name.replace("-", "_"): origin for name, origin in origins.items()})


def is_setting(option: str) -> bool:
    """Whether an option of the running command has its value from a setting, not from the command line."""
    return option.replace("-", "_") in (_from_settings.get() or {})


def told_origins(message: str) -> str:
    """An error, with where the options that it names were set, if that was not on the command line."""
    origins = _from_settings.get() or {}
    named = [name.replace("-", "_") for name in re.findall(r"--([a-z][a-z-]*)", message)]
    if message.startswith("no model "):
        named.append("model")
    told = [f"--{name.replace('_', '-')} is from {origins[name]}" for name in dict.fromkeys(named) if name in origins]
    return f"{message} ({', '.join(told)})" if told else message


def all_settings(root: Any, words: tuple[str, ...]) -> Iterator[tuple[str, str, str | None, str]]:
    """The values that the user set; of one command all of its options.

    Args:
        root: the program.
        words: the command's; (): all that is set.

    Yields:
        The command, the option, its value as text, and where that comes from.

    Raises:
        InputError: see ``settings_of``.
    """
    for path, command in _all_commands(root):
        if words and path != words:
            continue
        settings = settings_of(command, path, root)
        for name, option in options_of(command).items():
            setting = settings.get(option.name)
            if setting is not None:
                yield " ".join(path), name, _text(setting.value), setting.origin
            elif words:
                default = option.default() if callable(option.default) else option.default
                yield " ".join(path), name, _text(default), "default"


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or value is None:
        return None if value is None else str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or None
    return str(getattr(value, "value", value))


def _entries(config: Mapping[str, Any], words: tuple[str, ...], root: Any) -> Iterator[tuple[str, Any, str]]:
    """The keys that may concern a command, with the table that they stand in; those of its own table come last."""
    commands = getattr(root, "commands", {})
    for key, value in config.items():
        if isinstance(value, Mapping):
            if key not in commands:
                file = clipped(str(config_file()))
                if any(_option_name(key) in options_of(command) for _, command in _all_commands(root)):
                    raise InputError(f"{file}: {key} is a table, and an option: write one value")
                raise InputError(f"{file}: there is no command {quoted(key, 40)}{_did_you_mean(key, commands)}")
        else:
            yield key, value, ""
    table: Any = config
    for depth, word in enumerate(words, start=1):
        table = table.get(word)
        if not isinstance(table, Mapping):
            return
        below = getattr(_command_at(root, words[:depth]), "commands", {})
        for key, value in table.items():
            if not (isinstance(value, Mapping) and key in below):
                yield key, value, ".".join(words[:depth])


def _command_at(root: Any, words: tuple[str, ...]) -> Any:
    for word in words:
        root = root.commands[word]
    return root


def _check_somewhere(key: str, origin: str, root: Any) -> None:
    """Check that some command has an option of this name."""
    names = {name for _, command in _all_commands(root) for name in options_of(command)}
    if _option_name(key) not in names:
        raise InputError(f"{origin}: no command has an option {quoted(key, 40)}{_did_you_mean(key, names)}")


def _all_commands(root: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its words: the program, groups, and what is in them; without second names."""
    yield path, root
    for name, command in getattr(root, "commands", {}).items():
        if not command.hidden:
            yield from _all_commands(command, (*path, name))


def _is_shared(option: Any) -> bool:
    """Whether one setting for all commands concerns this option: not the word vectors that some call --model."""
    return option.name != "model" or option.envvar is not None


def _option_name(key: str) -> str:
    return key.replace("_", "-")


def _did_you_mean(key: str, names: Iterable[str]) -> str:
    close = get_close_matches(_option_name(key), list(names), n=2)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _typed(option: Any, value: Any, what: str) -> Any:
    """A value of the file, checked against the type of its option."""
    if option.multiple:
        each = value if isinstance(value, list) else [value]
        return [_single(option, item, what) for item in each]
    return _single(option, value, what)


def _single(option: Any, value: Any, what: str) -> Any:
    # Typer's names of types have changed: integer, int, int range.
    kind = "flag" if option.is_flag else option.type.name.split(" ")[0].replace("integer", "int")
    wanted, fits = {
        "flag": ("true or false", isinstance(value, bool)),
        "int": ("a whole number", isinstance(value, int) and not isinstance(value, bool)),
        "float": ("a number", isinstance(value, (int, float)) and not isinstance(value, bool)),
    }.get(kind, ("a text", isinstance(value, (str, int, float)) and not isinstance(value, bool)))
    if not fits:
        raise InputError(f"{what} is {quoted(str(value), 60)}: write {wanted}")
    return value if kind == "flag" else str(value)


def _read(option: Any, text: str, variable: str) -> Any:
    """The value of an environment variable."""
    if option.multiple:
        return [text]
    if not option.is_flag:
        return text
    if text.lower() not in (*_YES, *_NO):
        raise InputError(f"{variable} is {quoted(text, 60)}: write 1 or 0")
    return text.lower() in _YES
