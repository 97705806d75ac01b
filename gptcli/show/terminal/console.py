"""Where an answer goes: a terminal, a pipe, JSON, or a file.

stdout carries the answer and nothing else. Notices go to stderr. Rich decides about colour and width from the terminal,
``NO_COLOR``, ``TERM`` and ``COLUMNS``.
"""

import io
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptcli.errors import InputError
from gptcli.show.html.export import HTML_FORMAT, svg_format
from gptcli.show.terminal.json_pieces import json_pieces
from gptcli.system.notices import notice
from gptcli.system.whole_file import write_whole
from gptcli.text import clipped, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.segment import Segment

# Lines of a saved picture: larger ones are none that a browser or an editor opens.
_MOST_LINES = {".svg": 2_000, ".html": 20_000, ".txt": 500_000}
# Pieces of a picture that are written at once.
_SEGMENTS = 500
SAVE_SUFFIXES = (".svg", ".html", ".txt")


def stdout_console() -> "Console":
    """A Rich console on stdout that prints text as it is: no markup, no highlighting, no emoji codes."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def stdout_is_terminal() -> bool:
    """Whether a person is looking at stdout."""
    return sys.stdout.isatty()


def write_flowing(console: "Console | None", text: str, style: str | None = None) -> None:
    """Write a piece of running text on stdout: for a person made visible, into a pipe (no console) as it is."""
    if console is None:
        sys.stdout.write(text)
    elif style is None:
        sys.stdout.write(visible(text))  # Rich would make eight spaces of a tab, wherever on the line it stands
    else:
        console.print(visible(text), style=style, end="", soft_wrap=True)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print an answer as JSON on stdout (see ``json_pieces``); ``indent=None`` puts it on one line."""
    for piece in json_pieces(value, indent=indent):
        sys.stdout.write(piece)
    sys.stdout.flush()


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """What ``print_json`` prints, with the newline at its end."""
    return "".join(json_pieces(value, indent=indent))


def present(
    answer: Any,
    draw: Callable[[], "RenderableType"],
    *,
    as_json: bool,
    save: Path | None,
    page: Callable[[], str] | None = None,
) -> None:
    """Show an answer the way the user asked for.

    Args:
        answer: the dataclass that ``--json`` prints.
        draw: makes the picture for people; called only when one is needed.
        as_json: print JSON instead of the picture.
        save: also write the picture to this file (``.svg``, ``.html`` or ``.txt``).
        page: makes the HTML that shows its numbers where one points; without, ``.html`` is the picture as printed.

    Raises:
        InputError: ``save`` has another suffix.
        GptcliError: the file cannot be written.
    """
    if save is not None:
        save_as(save, draw, page)
    if as_json:
        print_json(answer)
    else:
        print_picture(draw())


def print_picture(picture: "RenderableType") -> None:
    """Print a picture on stdout, some lines at a time: a long one is read while it is drawn, and not held."""
    from rich.segment import Segment, Segments

    console = stdout_console()
    held: list[Segment] = []
    for segment in console.render(picture, console.options):
        held.append(segment)
        if len(held) >= _SEGMENTS and segment.text.endswith("\n"):
            console.print(Segments(held), end="")
            held = []
    console.print(Segments(held), end="")


def save_as(path: Path, draw: Callable[[], "RenderableType"], page: Callable[[], str] | None = None) -> None:
    """Write an answer to a file, as a picture or (``.html``, where there is one) as a page; see ``present``."""
    if page is not None and path.suffix.lower() == ".html":
        write_whole(path, page())
        notice(f"saved {path}")
    else:
        save_picture(draw(), path)


def check_save(path: Path, asked: str = "--save", suffixes: Sequence[str] = SAVE_SUFFIXES) -> None:
    """Refuse a file name before the work that would be saved in it.

    Args:
        path: the file.
        asked: where the name comes from.
        suffixes: how it may end.

    Raises:
        InputError: it ends otherwise, or there is no such folder.
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{asked} {clipped(str(path))}: the file name must end in {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise InputError(f"{asked} {clipped(str(path))}: there is no folder {clipped(str(path.parent))}")


def save_picture(picture: "RenderableType", path: Path) -> None:
    """Write a picture to a file, whole or not at all.

    The width is the terminal's (or ``COLUMNS``), and colours are kept whatever ``NO_COLOR`` says about the terminal.

    Raises:
        InputError: the suffix is not one of ``SAVE_SUFFIXES``.
        GptcliError: the file cannot be written.
    """
    from rich.console import Console

    check_save(path)
    recorder = Console(
        file=io.StringIO(),
        record=True,
        width=stdout_console().width,
        force_terminal=True,
        color_system=None if path.suffix.lower() == ".txt" else "truecolor",  # pictures then speak in characters
        no_color=False,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    from rich.segment import Segments

    suffix = path.suffix.lower()
    lines, more = _first_lines(recorder.render(picture, recorder.options), _MOST_LINES[suffix])
    recorder.print(Segments(lines), end="")
    match suffix:
        case ".svg":
            exported = recorder.export_svg(title="gptcli", code_format=svg_format())
        case ".html":
            exported = recorder.export_html(code_format=HTML_FORMAT)
        case _:
            exported = recorder.export_text()
    write_whole(path, exported)
    other = ": .txt and .html hold more, --json all" if suffix == ".svg" else ": --json has all"
    notice(f"saved {path}" + (f", the first {_MOST_LINES[suffix]:,} lines of a longer picture{other}" if more else ""))


def _first_lines(segments: "Iterable[Segment]", most: int) -> "tuple[list[Segment], bool]":
    """The segments of the first lines, and whether there are more."""
    kept: list[Segment] = []
    count = 0
    for segment in segments:
        if count >= most:
            return kept, True
        kept.append(segment)
        count += segment.text.count("\n")
    return kept, False
