"""A result's table as text: CSV (RFC 4180) and Markdown."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Literal

from gptcli.show.terminal.json_pieces import json_pieces
from gptcli.system.answer import rows_of
from gptcli.text import visible

# The forms of data that commands print.
Form = Literal["json", "csv", "md"]
# Characters of a piece.
_MANY = 1 << 16
# What Markdown takes for markup; an underscore only at the edge of a word.
_MARKUP = re.compile(r"[\\|`*<\[\]~]|(?<![^\W_])_|_(?![^\W_])")
_FIGURES = 6


def table_pieces(answer: Any, form: Form) -> Iterator[str]:
    """A result's table as text, some 64 kB at a time.

    CSV has full precision, an empty cell for null, and what is a list in JSON as JSON. Markdown has six digits, and no
    ``bytes`` where all tokens are whole characters.

    Raises:
        InputError: the result has no table.
    """
    rows = rows_of(answer)
    return _in_pieces(_csv_lines(rows) if form == "csv" else _markdown_lines(list(rows)))


def table_text(answer: Any, form: Form) -> str:
    """The same at once."""
    return "".join(table_pieces(answer, form))


class TableWriter:
    """Writes the rows of several answers as one table, as they come.

    Args:
        form: how.
        write: takes the text.
    """

    def __init__(self, form: Form, write: Callable[[str], None]) -> None:
        self._form, self._write = form, write
        self._names: list[str] | None = None

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write the rows of one more answer; the first row of all sets the columns."""
        for row in rows:
            if self._names is None:
                self._names = list(row)
                self._write(_csv_line(row) if self._form == "csv" else _markdown_head([row], self._names))
            assert list(row) == self._names, f"{list(row)} in a table of {self._names}"
            cells = row.values()
            self._write(_csv_line(map(_exact, cells)) if self._form == "csv" else _markdown_line(map(_short, cells)))


def _in_pieces(lines: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    length = 0
    for line in lines:
        held.append(line)
        length += len(line)
        if length >= _MANY:
            yield "".join(held)
            held, length = [], 0
    yield "".join(held)


def _csv_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """RFC 4180: lines end with CR LF, and what needs it is quoted."""
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    yield _csv_line(first)
    for row in chain([first], rows):
        assert row.keys() == first.keys(), f"{list(row)} in a table of {list(first)}"
        yield _csv_line(map(_exact, row.values()))


def _csv_line(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def _exact(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, (bool, Mapping)) or (isinstance(value, Iterable) and not isinstance(value, str)):
        return "".join(json_pieces(value, indent=None)).rstrip("\n")
    return str(getattr(value, "value", value))


def _markdown_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A table of GitHub's Markdown; figures are to the right."""
    if not rows:
        return
    names = [
        name for name in rows[0] if name.rpartition(".")[2] != "bytes" or any(row[name] is not None for row in rows)
    ]
    yield _markdown_head(rows, names)
    for row in rows:
        yield _markdown_line(_short(row[name]) for name in names)


def _markdown_head(rows: list[dict[str, Any]], names: list[str]) -> str:
    held = ([row[name] for row in rows if row[name] is not None] for name in names)
    right = (bool(cells) and all(map(_is_figure, cells)) for cells in held)
    return _markdown_line(map(_escaped, names)) + _markdown_line("---:" if each else "---" for each in right)


def _is_figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _markdown_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _short(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.{_FIGURES}g}"
    text = visible(_exact(value), keep="\n").replace("\n", "⏎")
    return _escaped(text) if text == text.strip() else _code(text)


def _escaped(text: str) -> str:
    return _MARKUP.sub(lambda found: f"\\{found[0]}", text)


def _code(text: str) -> str:
    """A code span, which keeps spaces at its ends; a bar in it would still end the cell."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    space = " " if "`" in text or (text != text.lstrip() and text != text.rstrip() and text.strip()) else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")
