"""Output: to a terminal, a pipe, as JSON, or to a file.

stdout carries the answer and nothing else. Notices go to stderr. Rich chooses colour and width by the terminal,
``NO_COLOR``, ``FORCE_COLOR``, ``TERM`` and ``COLUMNS``; the rest is in ``colours``.
"""

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptcli.errors import InputError
from gptcli.show.blocks import palette
from gptcli.show.blocks.pictures import exact_bars
from gptcli.show.changed import page_with_changes, with_changes
from gptcli.show.picture.png import check_png
from gptcli.show.terminal.colours import asked_theme, colours_forced, colours_off, saved_theme
from gptcli.show.terminal.encoding import everything, holds_everything
from gptcli.show.terminal.json_pieces import json_pieces, only_ascii
from gptcli.show.terminal.pager import page_through, pager_command
from gptcli.show.terminal.watching import keep_picture, showed
from gptcli.system.notices import notice
from gptcli.system.whole_file import write_whole
from gptcli.text import clipped, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.segment import Segment, Segments

    from gptcli.show.html.page import Page
    from gptcli.show.terminal.tables import Form

# The most lines of a saved picture that browsers and editors still open.
_MOST_LINES = {".svg": 2_000, ".png": 500, ".txt": 500_000}
# Pieces of a picture written at a time.
_SEGMENTS = 500
# Files of data, and their form.
DATA_SUFFIXES: "dict[str, Form]" = {".csv": "csv", ".md": "md", ".json": "json"}
SAVE_SUFFIXES = (".svg", ".png", ".html", ".txt")


def stdout_console() -> "Console":
    """A Rich console on stdout that prints text as it is: no markup, no highlighting, no emoji codes."""
    return _console(stderr=False)


def stderr_console() -> "Console":
    """The same on stderr, for what is shown while a command runs."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    plain: dict[str, Any] = {"stderr": stderr, "highlight": False, "markup": False, "emoji": False}
    forced = colours_forced()
    made = Console(**plain, force_terminal=forced or None)
    if forced and made.color_system in (None, "standard") and not made.file.isatty():
        made = Console(**plain, force_terminal=True, color_system="256")  # TERM speaks of no terminal that will show it
    made.no_color = made.no_color or colours_off()
    if made.is_terminal and made.color_system and not made.no_color:
        palette.current()  # the terminal is asked now, before anything is drawn and before anybody reads keys
    return made


def stdout_is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print an answer as JSON on stdout (see ``json_pieces``); ``indent=None`` puts it on one line.

    It is valid whatever stdout's encoding is: one that is not Unicode gets escapes.
    """
    ascii_only = not holds_everything()
    for piece in json_pieces(value, indent=indent):
        sys.stdout.write(only_ascii(piece) if ascii_only else piece)
    sys.stdout.flush()


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """What ``print_json`` prints, with the newline at its end."""
    return "".join(json_pieces(value, indent=indent))


def present(
    answer: Any,
    draw: Callable[[], "RenderableType"],
    *,
    as_json: bool = False,
    save: Path | None,
    page: "Callable[[], Page] | None" = None,
    form: "Form | None" = None,
) -> None:
    """Show an answer in the form that the user asked for.

    Args:
        answer: the dataclass that ``--json`` prints.
        draw: makes the picture for people; called only when one is needed.
        as_json: the same as the form ``json``.
        save: also write the picture (``SAVE_SUFFIXES``) or the data (``DATA_SUFFIXES``) to this file.
        page: makes the interactive HTML; without it, ``.html`` is the picture, typeset.
        form: print data instead of the picture.

    Raises:
        InputError: ``save`` has another suffix, or a table is asked for where there is none.
        GptcliError: the file cannot be written.
    """
    showed(answer)
    draw, page = with_changes(answer, draw), page_with_changes(answer, page)
    if save is not None and save.suffix.lower() in DATA_SUFFIXES:
        save_data(save, answer)
    elif save is not None:
        save_as(save, draw, page)
    if keep_picture(draw, page):
        return
    if as_json or form == "json":
        print_json(answer)
    elif form is not None:
        print_table(answer, form)
    else:
        print_picture(draw())


def print_table(answer: Any, form: "Form") -> None:
    """Print the table of an answer as CSV or Markdown: to a pipe in UTF-8 as it is, to a terminal made visible.

    Raises:
        InputError: there is no table in it.
    """
    from gptcli.show.terminal.tables import table_pieces

    for piece in table_pieces(answer, form):
        write_data(piece)


def write_data(text: str) -> None:
    """Write CSV or Markdown: to a pipe in UTF-8 whatever stdout's encoding is, to a terminal made visible."""
    raw = None if stdout_is_terminal() else getattr(sys.stdout, "buffer", None)
    if raw is None:
        sys.stdout.write(visible(text, keep="\n\t\r") if stdout_is_terminal() else text)
    else:
        sys.stdout.flush()
        raw.write(text.encode("utf-8", "backslashreplace"))
        raw.flush()
    sys.stdout.flush()


def save_data(path: Path, answer: Any) -> None:
    """Write an answer to a file as JSON, CSV or Markdown, by its suffix.

    Raises:
        InputError: there is no table in it.
        GptcliError: the file cannot be written.
    """
    from gptcli.show.terminal.tables import table_text

    with everything():
        form = DATA_SUFFIXES[path.suffix.lower()]
        text = json_text(answer) if form == "json" else table_text(answer, form)
        write_whole(path, text.encode("utf-8", "backslashreplace"))
    notice(f"saved {path}")


def print_picture(picture: "RenderableType") -> None:
    """Print a picture on stdout in pieces of some lines, so that a long one is never in memory as a whole.

    One that is taller than the terminal goes through the pager, if there is one (see ``pager``).
    """
    console = stdout_console()
    if not console.is_terminal:
        return _print_trimmed(console.render(picture, console.options), console.width)
    crop = getattr(picture, "overflow", None) != "ignore"  # lines to be copied are folded by the terminal itself
    pieces = _pieces(console, picture)
    pager = pager_command()
    if pager is not None:
        first = list(_first_screen(pieces, console.height - 1))
        if _n_lines(first) >= console.height:
            if page_through(pager, (_as_text(console, piece, crop=crop) for piece in chain(first, pieces))):
                return
            pieces = _pieces(console, picture)  # it failed: all of the picture without it
        else:
            pieces = iter(first)
    for piece in pieces:
        console.print(piece, end="", crop=crop)


def _pieces(console: "Console", picture: "RenderableType") -> "Iterator[Segments]":
    """A rendered picture, cut at ends of lines."""
    from rich.segment import Segment, Segments

    held: list[Segment] = []
    for segment in console.render(picture, console.options):
        held.append(segment)
        if len(held) >= _SEGMENTS and segment.text.endswith("\n"):
            yield Segments(held)
            held = []
    yield Segments(held)


def _first_screen(pieces: "Iterator[Segments]", room: int) -> "Iterator[Segments]":
    """The first pieces, up to the one with which there are more than ``room`` lines."""
    lines = 0
    for piece in pieces:
        yield piece
        lines += _n_lines([piece])
        if lines > room:
            return


def _n_lines(pieces: "Iterable[Segments]") -> int:
    return sum(segment.text.count("\n") for piece in pieces for segment in piece.segments)


def _as_text(console: "Console", piece: "Segments", *, crop: bool) -> str:
    """A piece as the terminal would get it."""
    with console.capture() as captured:
        console.print(piece, end="", crop=crop)
    return captured.get()


def _print_trimmed(segments: "Iterable[Segment]", width: int) -> None:
    """Print a picture without colours, for a pipe: no line ends with blanks or is wider than ``width``."""
    held: list[str] = []
    rest = ""
    for segment in segments:
        *lines, rest = (rest + segment.text).split("\n") if not segment.control else (rest,)
        held += (_fitted(line, width) for line in lines)
        if len(held) >= _SEGMENTS:
            sys.stdout.write("\n".join([*held, ""]))
            held = []
    sys.stdout.write("\n".join([*held, _fitted(rest, width)]))


def _fitted(line: str, width: int) -> str:
    """A line as far as it is seen on a terminal of this width, where Rich crops what no layout could make fit."""
    from rich.cells import cell_len, set_cell_size

    line = line.rstrip(" ")
    if len(line) > width or (not line.isascii() and cell_len(line) > width):
        return set_cell_size(line, width).rstrip(" ")
    return line


def save_as(path: Path, draw: Callable[[], "RenderableType"], page: "Callable[[], Page] | None" = None) -> None:
    """Write an answer to a file, as a picture or (``.html``) as a page; see ``present``."""
    if path.suffix.lower() == ".html":
        from gptcli.show.html.page import drawn_page
        from gptcli.show.picture.title import picture_title, saving

        with everything():
            made = drawn_page(picture_title(), draw) if page is None else page()
            write_whole(path, replace(made, title=saving.title or made.title, theme=asked_theme()).html())
        notice(f"saved {path}")
        return
    with everything(), palette.using(saved_theme()):
        save_picture(draw(), path)


def check_save(path: Path, asked: str = "--save", suffixes: Sequence[str] = SAVE_SUFFIXES) -> None:
    """Check a file name before any work is done.

    Args:
        path: the file.
        asked: the option, for errors.
        suffixes: the allowed ones.

    Raises:
        InputError: it has another suffix, or the folder does not exist.
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{asked} {clipped(str(path))}: the file name must end in {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise InputError(f"{asked} {clipped(str(path))}: there is no folder {clipped(str(path.parent))}")
    if path.suffix.lower() == ".png":
        check_png()


def save_picture(picture: "RenderableType", path: Path) -> None:
    """Write a picture to a file (not ``.html``, see ``save_as``), whole or not at all.

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
        color_system=None
        if path.suffix.lower() == ".txt"
        else "truecolor",  # pictures then use characters instead of colours
        no_color=False,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    from rich.segment import Segments

    suffix = path.suffix.lower()
    with exact_bars():
        segments, more = _first_lines(recorder.render(picture, recorder.options), _MOST_LINES[suffix])
    if suffix in (".svg", ".png"):
        write_whole(path, _drawn(segments, png=suffix == ".png"))
    else:
        recorder.print(Segments(segments), end="")
        write_whole(path, recorder.export_text())
    other = ": .txt and .html hold more, --json all" if suffix in (".svg", ".png") else ": --json has all"
    notice(f"saved {path}" + (f", the first {_MOST_LINES[suffix]:,} lines of a longer picture{other}" if more else ""))


def _drawn(segments: "list[Segment]", *, png: bool) -> str | bytes:
    """A picture as SVG or PNG, with its title."""
    from rich.segment import Segment

    from gptcli.show.picture.png import png as as_png
    from gptcli.show.picture.svg import svg
    from gptcli.show.picture.title import picture_title

    lines = [list(line) for line in Segment.split_lines(segments)]
    drawn = svg(lines, picture_title(), palette.current().name)
    return as_png(drawn) if png else drawn


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
