"""Typer's command, with the user's settings as defaults; it tells of options that are given twice."""

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from gptcli.cli.settings import settings_of, took_settings
from gptcli.system.notices import notice

# The key of a context's ``meta`` with the origin of each parameter that a setting gave.
ORIGINS = "gptcli.origins"
Function = TypeVar("Function", bound=Callable[..., Any])
_HELP = ("-h", "--help")
# What every app of ours, large or small, tells Typer.
SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": list(_HELP)},
}


class Command(TyperCommand):
    """A command whose options take their defaults from the user's settings."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; settings are the defaults."""
        took_settings({})
        order: list[Any] = []
        if not ctx.resilient_parsing and not any(word in _HELP for word in args):
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            apply_settings(ctx, self)
        origins, typed = ctx.meta.get(ORIGINS, {}), {each.name for each in order}
        taken = (each for each in self.params if each.name in origins and each.name not in typed)
        took_settings({max(each.opts, key=len).lstrip("-"): origins[each.name] for each in taken})
        rest: list[str] = super().parse_args(ctx, args)
        _tell_repeated(order)
        return rest


def apply_settings(ctx: Any, command: Any) -> None:
    """Make the user's settings the defaults of a command.

    Raises:
        InputError: a setting is wrong.
    """
    root = ctx.find_root()
    words: list[str] = []
    at = ctx
    while at.parent is not None:
        words.insert(0, at.info_name)
        at = at.parent
    settings = settings_of(command, tuple(words), root.command)
    ctx.default_map = {name: setting.value for name, setting in settings.items()}
    ctx.meta[ORIGINS] = {**ctx.meta.get(ORIGINS, {}), **{name: each.origin for name, each in settings.items()}}


def _tell_repeated(order: list[Any]) -> None:
    """Tell which options are given more than once, although one value counts."""
    for option, times in Counter(order).items():
        if times > 1 and option.param_type_name == "option" and not (option.multiple or option.is_flag or option.count):
            name = max(option.opts, key=len)
            notice(f"{name} is given {'twice' if times == 2 else f'{times:,} times'}: the last one counts")


class App(typer.Typer):
    """Typer's app, whose commands are of this kind."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Function], Function]:
        """Register a command (see Typer)."""
        return super().command(name, **{"cls": Command, **settings})
