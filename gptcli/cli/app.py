"""The app: errors become messages and exit codes here, and nowhere else."""

import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gptcli.checkpoint.files.bus_errors import announce
from gptcli.cli.command import ORIGINS, SETTINGS, apply_settings
from gptcli.cli.commands import Commands
from gptcli.cli.options import given_on_command_line
from gptcli.cli.settings import told_origins
from gptcli.errors import GptcliError
from gptcli.show.picture.title import begin
from gptcli.show.terminal.colours import Color, ThemeChoice, choose_color, choose_theme
from gptcli.show.terminal.encoding import standing_in
from gptcli.show.terminal.pager import choose_pager
from gptcli.system.environment import keep_in_range
from gptcli.system.limits import limit_reached
from gptcli.system.notices import notice
from gptcli.text import QUOTED, clipped, quoted, shortened

# The base of Typer's errors about usage (BadParameter < UsageError < ClickException), which not all of its supported
# releases export by name.
_UsageError: Any = typer.BadParameter.__mro__[2]
# How Typer's error about words that no argument takes begins.
_TOO_MANY = "Got unexpected extra argument"
# How Typer calls numbers, and how people do.
_NUMBERS = {"int": "whole number", "float": "number"}
# Errors of a stdout on a full or broken disk.
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class ErrorBoundary(TyperGroup):
    """The top-level command: turns errors into one line on stderr and an exit code."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = Commands()

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Parse the arguments; ``--help`` and ``--version`` print here."""
        with _output():
            return super().make_context(*args, **extra)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the program's own options; settings are their defaults."""
        with suppress(GptcliError):  # the command tells what is wrong with a setting; --help needs none
            apply_settings(ctx, self)
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run a subcommand."""
        with _output():
            return super().invoke(ctx)

    def main(  # type: ignore[override]  # the rest of Typer's parameters travel in **extra
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> Any:
        """Parse and run; always ends with ``SystemExit`` carrying the documented code."""
        extra["standalone_mode"] = False
        args = _global_options_first(sys.argv[1:] if args is None else args)
        begin(args)
        with standing_in():
            code = self._run(args, prog_name or "gptcli", extra)
            with suppress(OSError):
                sys.stdout.flush()  # the rest after an error, which is reported already
        sys.exit(code if isinstance(code, int) else 0)

    def _run(self, args: Sequence[str], prog_name: str, extra: dict[str, Any]) -> Any:
        """Parse and run; returns the exit code, with an error reported."""
        try:
            return super().main(args=args, prog_name=prog_name, **extra)
        except GptcliError as error:
            return _say(told_origins(str(error)), error.exit_code)
        except _UsageError as error:
            # Without arguments the help was shown.
            return _say(_one_line(error, args, self._asked(args)), 2) if error.format_message() else 2
        except UnicodeEncodeError as error:  # Typer looks for a file of that name
            return _say(f"no file can have the name {clipped(str(error.object))}, which is not Unicode", 2)
        except typer.Abort:
            return 130
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            # Without torch (it is large), commands that run in C or without a model still work.
            return _say("torch is not installed, and this needs it: pip install torch", 1)
        except (MemoryError, RuntimeError, SystemError, OSError, ImportError) as error:
            message = limit_reached(error) or _about_a_file(error)
            if message is None:
                raise
            return _say(message, 1)

    def _asked(self, args: Sequence[str]) -> str:
        """The command, for an error that does not have it."""
        first = next(iter(args), "")
        return f"gptcli {first}" if first in self.commands else "gptcli"


def _global_options_first(args: Sequence[str]) -> list[str]:
    """The arguments with the program's own options in front, so that they may stand after the command too.

    --color and --theme are eager, and come before a --help that they colour.
    """
    first: list[str] = []
    rest = list(args)
    for name in ("--color", "--theme", "--pager", "--no-pager"):
        end = rest.index("--") if "--" in rest else len(rest)
        places = [place for place in range(end) if rest[place] == name or rest[place].startswith(f"{name}=")]
        for place in reversed(places):
            after = place + 1 if "=" in rest[place] or name == "--no-pager" else place + 2
            first = rest[place:after] + first
            del rest[place:after]
    return first + rest


@contextmanager
def _output() -> Iterator[None]:
    """For code that prints: a closed pipe (``| head``) ends it silently, a full disk is an error."""
    try:
        try:
            yield
        except typer.Exit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as error:
        # Rich exits by itself if it was writing.
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        _let_go_of_stdout()
        raise typer.Exit(0) from None
    except OSError as error:
        if error.errno not in _OUTPUT_ERRORS:
            raise
        _let_go_of_stdout()
        raise GptcliError(f"cannot write the output: {error.strerror}") from error


def _let_go_of_stdout() -> None:
    """Redirect stdout to nowhere: Python flushes it once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _about_a_file(error: BaseException) -> str | None:
    """The message for an error of the system about a file or folder; None for other errors."""
    if not isinstance(error, OSError) or error.filename is None:
        return None
    return f"cannot use {clipped(str(error.filename))}: {error.strerror}"


def _say(message: str, code: int) -> int:
    """Print an error, unless stderr is closed too; returns the exit code."""
    with suppress(OSError):
        notice(f"error: {shortened(message)}")
    return code


def _one_line(error: Any, given: Sequence[str], asked: str) -> str:
    """Typer's message on one line, with long arguments clipped.

    Args:
        error: Typer's.
        given: the arguments, which the message quotes.
        asked: the command, if the error does not have it.
    """
    message = error.format_message()
    for part in {part for word in given if len(word) > QUOTED for part in (word, word.partition("=")[2], word[2:])}:
        if len(part) > QUOTED:
            message = message.replace(repr(part), quoted(part)).replace(part, clipped(part))
    message = " ".join(message.split()).replace("Value error, ", "")
    message = re.sub(r"is not a valid (int|float)( range)?\b", lambda found: f"is no {_NUMBERS[found[1]]}", message)
    message = re.sub(r"\(Possible options: (.*)\)", r"(did you mean \1?)", message)
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    if message.startswith(_TOO_MANY) and _takes_a_text(context):
        message += ": put a text of several words in quotes"
    if context is not None and parameter is not None and parameter.name in context.meta.get(ORIGINS, {}):
        message = f"{message.rstrip('.')}, from {context.meta[ORIGINS][parameter.name]}"
    command = context.command_path if context is not None else asked
    return f"{message} (try '{command} --help')"


def _takes_a_text(context: Any) -> bool:
    """Whether the command's argument is one text."""
    return context is not None and any(each.metavar in ("PROMPT", "TEXT") for each in context.command.params)


EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 a mistake in the command or its input, 130 interrupted."
app = typer.Typer(name="gptcli", cls=ErrorBoundary, no_args_is_help=True, **SETTINGS)


class Shell(str, Enum):
    """The shells that have a completion script."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def _version(context: typer.Context, show: bool) -> None:
    if show:
        from gptcli.cli.version import facts, version_line

        print("\n".join(facts()) if context.params.get("verbose") else version_line())
        raise typer.Exit


def _with_color(context: typer.Context, color: Color) -> Color:
    context.with_resource(choose_color(color))
    return color


def _with_theme(context: typer.Context, theme: ThemeChoice) -> ThemeChoice:
    context.with_resource(choose_theme(theme, also_saved=given_on_command_line(context, "theme")))
    return theme


def _show_completion(shell: Shell | None) -> None:
    if shell is not None:
        from gptcli.cli.completion import SCRIPTS
        from gptcli.cli.completion.outline import outline

        print(SCRIPTS[shell.value](outline(app)), end="")
        raise typer.Exit


# --version is not eager: it is handled after --verbose, in any order.
@app.callback(epilog=EXIT_CODES)
def gptcli(
    context: typer.Context,
    color: Annotated[
        Color,
        typer.Option(
            is_eager=True,
            callback=_with_color,
            help="Colours: auto goes by the terminal, NO_COLOR and FORCE_COLOR.",
        ),
    ] = Color.auto,
    theme: Annotated[
        ThemeChoice,
        typer.Option(
            envvar="GPTCLI_THEME",
            is_eager=True,
            callback=_with_theme,
            help="Colours for a dark or a light background; auto asks the terminal.",
        ),
    ] = ThemeChoice.auto,
    pager: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            envvar="GPTCLI_PAGER",
            show_default="$PAGER or less",
            help="What shows pictures taller than the terminal; cat is none.",
        ),
    ] = None,
    no_pager: Annotated[bool, typer.Option("--no-pager", help="Print tall pictures at once.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, help="Print the version and exit.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", is_eager=True, help="With --version: python, torch, device, folders.")
    ] = False,
    show_completion: Annotated[
        Shell | None,
        typer.Option(callback=_show_completion, is_eager=True, help="Print the completion script for a shell."),
    ] = None,
) -> None:
    """Open a GPT in the terminal and watch it work.

    \b
    gptcli tour                               start here: a walk through all of it
    gptcli generate "Once upon a time there was a"
    gptcli logits "The king and the" -t 0.5,1,2
    gptcli analogy king-man+woman
    gptcli params gpt3
    gptcli COMMAND --help                     options, and more examples
    eval "$(gptcli --show-completion bash)"   TAB completes, here and now
    """
    both_set = no_pager and pager is not None
    typed = both_set and given_on_command_line(context, "pager") and not given_on_command_line(context, "no_pager")
    context.with_resource(choose_pager("" if no_pager and not typed else pager))
    if verbose:
        raise typer.BadParameter("--verbose says more about --version, and there is no --version")


def main() -> None:
    """The ``gptcli`` command."""
    _prepare_streams()
    announce()
    keep_in_range()
    app()


def _prepare_streams() -> None:
    """Replace streams that the caller closed (``>&-``)."""
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
