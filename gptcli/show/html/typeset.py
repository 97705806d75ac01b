"""What a command draws in a terminal, typeset: tables as tables, headings as headings, bars and plots as vectors.

It goes through the picture's own structure, so that it holds for every command; a picture of which only lines are known
is set in columns.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gptcli.show.blocks import palette
from gptcli.show.blocks.pictures import exact_bars
from gptcli.show.html.document import text
from gptcli.show.html.sheet import Looks, Sheet, named
from gptcli.show.picture.cells import FRAMES, shapes_of
from gptcli.show.picture.look import DARK, LIGHT, Look, Theme
from gptcli.show.picture.svg import HIGH, WIDE, drawn_lines, inner

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    from gptcli.show.blocks.heat import HeatGrid
    from gptcli.show.blocks.rows import Row, Rows
    from gptcli.show.blocks.tokens import TokenStrip

_COLUMNS, _WIDEST = 100, 128  # of a plot, and of lines that are laid out in columns
_MOST = 20_000  # blocks of a picture, and rows of a table: more would take a browser seconds
_BAR = 40  # columns of a bar, which fills the cell of its table


def typeset(draw: "Callable[[], RenderableType]", sheet: Sheet) -> str:
    """Markup of a picture, for both themes.

    Args:
        draw: makes the picture; it is called once for each theme.
        sheet: gets the classes.
    """
    light, dark = _Typesetter(LIGHT), _Typesetter(DARK)
    with exact_bars():
        with palette.using(palette.LIGHT):
            markup = light.markup(draw())
        with palette.using(palette.DARK):
            dark.markup(draw())
    return named(markup, light.looks.met, dark.looks.met, sheet)


class _Lines(list["Text"]):
    """Lines that are laid out in columns."""


_Block = str | _Lines


class _Typesetter:
    """Goes through a picture in one theme."""

    def __init__(self, theme: Theme) -> None:
        from rich.console import Console

        self.theme, self.looks = theme, Looks()
        self.console: Console = Console(
            width=_COLUMNS,
            force_terminal=True,
            color_system="truecolor",
            no_color=False,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
            _environ={},
        )

    @property
    def options(self) -> "ConsoleOptions":
        return self.console.options.update(height=None)

    def markup(self, picture: "RenderableType") -> str:
        """The blocks of a picture; lines in columns that follow each other are one block."""
        blocks: list[_Block] = []
        for number, block in enumerate(self._blocks(picture)):
            if number == _MOST:
                blocks.append(_cut("lines", _MOST))
                break
            if isinstance(block, _Lines) and blocks and isinstance(last := blocks[-1], _Lines):
                blocks[-1] = _Lines([*last, *block])
            else:
                blocks.append(block)
        return "\n".join(self._lines(block) if isinstance(block, _Lines) else block for block in blocks)

    def _lines(self, lines: "_Lines") -> str:
        """Lines in columns: as vectors if frames are drawn in them, else as text."""
        from rich.console import Group

        if any(character in FRAMES for line in lines for character in line.plain):
            return f'<div class="scroll">{self._picture(Group(*lines), _WIDEST)}</div>'
        text = "\n".join(self._spans(line, breaks="\n").strip("\n") for line in lines)
        return f'<div class="scroll"><pre class="laid">{text}</pre></div>'

    def _blocks(self, picture: Any) -> "Iterator[_Block]":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        from gptcli.show.blocks.heat import HeatGrid, SmallMap
        from gptcli.show.blocks.narrow import Narrowing
        from gptcli.show.blocks.plot import LinePlot, Scatter
        from gptcli.show.blocks.rows import Rows
        from gptcli.show.blocks.tokens import TokenStrip

        match picture:
            case str():
                yield from self._text(Text(picture))
            case TokenStrip():
                yield self._tokens(picture)
            case Text():
                yield from self._text(picture)
            case Rows():
                yield self._table(picture)
            case Narrowing():
                yield from self._blocks(picture.make(picture.parts))
            case Group():
                for each in picture.renderables:
                    yield from self._blocks(each)
            case HeatGrid():
                yield self._map(picture)
            case Scatter() | LinePlot() | SmallMap():
                yield self._picture(picture)
            case _ if isinstance(picture, Table) or not hasattr(picture, "__rich_console__"):
                yield self._picture(picture)
            case _:
                yield from self._inside(picture)

    def _inside(self, picture: Any) -> "Iterator[_Block]":
        """What a picture of ours is made of."""
        from rich.segment import Segment

        held: list[Segment] = []
        for part in picture.__rich_console__(self.console, self.options.update(width=_WIDEST)):
            if isinstance(part, Segment):
                held.append(part)
                continue
            if held:
                yield self._drawn(list(Segment.split_lines(held)), "")
                held = []
            yield from self._blocks(part)
        if held:
            yield self._drawn(list(Segment.split_lines(held)), "")

    def _text(self, whole: "Text") -> "Iterator[_Block]":
        """A heading, a remark, a paragraph, or lines in columns."""
        plain = whole.plain.strip("\n")
        if not plain.strip():
            return
        lines = plain.split("\n")
        if whole.no_wrap or any(line.startswith("  ") for line in lines):
            yield _Lines([whole])
            return
        base = self.console.get_style(whole.style) if whole.style else None
        if base is not None and base.bold and not whole.spans and len(lines) == 1:
            yield f"<h3>{text(plain)}</h3>"
            return
        quiet = ' class="facts"' if base is not None and base.dim and not whole.spans else ""
        yield f"<p{quiet}>{text(plain).replace(chr(10), '<br>') if quiet else self._spans(whole)}</p>"

    def _spans(self, whole: "Text", breaks: str = "<br>") -> str:
        return "".join(self._span(each, breaks) for each in whole.render(self.console))

    def _span(self, segment: "Segment", breaks: str) -> str:
        shown = text(segment.text).replace("\n", breaks)
        look = Look.of(segment.style, self.theme)
        if look == Look(self.theme.ink) or (not segment.text.strip() and look.ground is None):
            return shown
        return f'<span class="{self.looks.mark(look)}">{shown}</span>'

    def _tokens(self, strip: "TokenStrip") -> str:
        """Each token over its number."""
        from rich.style import Style

        shown = []
        for index, (token, below) in enumerate(strip.tokens):
            mark = self.looks.mark(Look.of(Style.parse(palette.on_token(index)), self.theme))
            shown.append(f'<span class="token"><b class="{mark}">{text(token)}</b><i>{text(below)}</i></span>')
        return f'<div class="tokens" dir="auto">{"".join(shown)}</div>'

    def _table(self, rows: "Rows") -> str:
        kinds = [' class="figure"' if column.justify == "right" else "" for column in rows.columns]
        names = [column.header for column in rows.columns]
        head = "".join(
            f'<th scope="col"{kind}>{self._cell(name)}</th>' for kind, name in zip(kinds, names, strict=True)
        )
        body = "".join(self._row(rows, row, kinds) for row in rows.listed[:_MOST])
        title = f"<caption>{text(str(rows.title))}</caption>" if rows.title else ""
        below = f'<p class="facts">{text(str(rows.caption))}</p>' if rows.caption else ""
        below += _cut("rows", _MOST) if len(rows.listed) > _MOST else ""
        table = f'<table class="list">{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        return f'<div class="scroll">{table}</div>{below}'

    def _row(self, rows: "Rows", row: "Row", kinds: Sequence[str]) -> str:
        looks = [name for name in ("dim", "bold", "reverse") if row.style and name in row.style]
        looks += ["ends"] if row.end_section else []
        look = f' class="{" ".join(looks)}"' if looks else ""
        cells = "".join(
            f'<td class="bar">{self._bar(cell)}</td>'
            if hasattr(cell, "pieces")
            else f"<td{kind}>{self._cell(cell)}</td>"
            for kind, cell in zip(kinds, rows.cells_of(row), strict=True)
        )
        return f"<tr{look}>{cells}</tr>"

    def _cell(self, cell: Any) -> str:
        from rich.text import Text

        if isinstance(cell, str):
            return text(cell)
        return self._spans(cell).removesuffix("<br>") if isinstance(cell, Text) else self._picture(cell)

    def _bar(self, cell: Any) -> str:
        """A bar as wide as its cell: its picture of ``_BAR`` columns, stretched."""
        from rich.segment import Segment

        columns = getattr(cell, "cells", None) or _BAR
        line = [Segment(part, self.console.get_style(style)) for part, style in cell.pieces(columns) if part]
        return self._drawn([line], ' class="bar" preserveAspectRatio="none" aria-hidden="true"', columns=columns)

    def _map(self, grid: "HeatGrid") -> str:
        """A table of figures on their colours."""
        from rich.style import Style

        head = "".join(f'<th scope="col">{text(name)}</th>' for name in grid.columns)
        body = []
        for name, values, texts in zip(grid.rows, grid.values, grid.texts, strict=True):
            cells = []
            for value, shown in zip(values, texts, strict=True):
                style = grid.style(value)
                look = f' class="{self.looks.mark(Look.of(Style.parse(style), self.theme))}"' if style else ""
                cells.append(f"<td{look}>{text(shown)}</td>")
            body.append(f'<tr><th scope="row">{text(name)}</th>{"".join(cells)}</tr>')
        table = (
            f'<table class="grid figures"><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
        )
        return f'<div class="scroll">{table}</div>'

    def _picture(self, picture: "RenderableType", width: int = _COLUMNS) -> str:
        lines = drawn_lines(picture, self.console, self.options.update(width=width))
        return self._drawn(lines, ' class="drawn" role="img"')

    def _drawn(self, lines: "Iterable[Sequence[Segment]]", attributes: str, columns: int | None = None) -> str:
        """Lines as vectors."""
        shapes = shapes_of(lines, self.theme)
        width, height = (columns or max(shapes.columns, 1)) * WIDE, max(shapes.lines, 1) * HIGH
        size = "" if columns else f' width="{width}" height="{height}"'
        return (
            f'<svg viewBox="0 0 {width} {height}"{size}{attributes or " class=drawn"}>'
            f"{''.join(inner(shapes, _Paint(self.looks)))}</svg>"
        )


def _cut(what: str, most: int) -> str:
    return f'<p class="facts">The first {most:,} {what} of a longer picture; --json has all.</p>'


class _Paint:
    """Colours as classes."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks

    def fill(self, colour: str) -> str:
        return f'class="{self._looks.mark(Look(colour))}" fill="currentColor"'

    def stroke(self, colour: str) -> str:
        return f'class="{self._looks.mark(Look(colour))}" stroke="currentColor"'

    def mark(self, colour: str, *, filled: bool) -> str:
        hollow = "" if filled else " hollow"
        fill = 'fill="currentColor" ' if filled else ""
        return f'class="{self._looks.mark(Look(colour))}{hollow}" {fill}stroke="currentColor"'
