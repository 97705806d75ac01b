"""The text: its tokens on the colours of their surprisal, the cursor, and the caret where one types."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len

from gptcli.explore.document import char_starts
from gptcli.explore.picture import Picture
from gptcli.explore.views.scene import Scene
from gptcli.show.blocks import palette
from gptcli.show.blocks.heat import has_colours
from gptcli.text import token_text, visible

# The surprisal at the end of the colour map, as in the picture of ``score``: one in 65,536.
MOST_BITS = 16.0


@dataclass(frozen=True)
class Glyph:
    """A piece of a token on the screen.

    Attributes:
        shown: its text.
        width: its columns.
        token: which one, from 0.
        place: the character of the text that it shows; None where that is unknown.
    """

    shown: str
    width: int
    token: int
    place: int | None


Layout = tuple[tuple[Glyph, ...], ...]


@lru_cache(maxsize=8)
def lay_out(tokens: tuple[bytes, ...], start: int, text: str, width: int, dots: bool) -> Layout:
    """The lines of a text; they break between words, and inside of one that is wider than a line.

    Args:
        tokens: the bytes of each.
        start: how many stand before the text.
        text: what the others stand for.
        width: of the lines.
        dots: show spaces as dots, where no colour shows the tokens' ends.
    """
    starts = char_starts(tokens, start, text)
    lines: list[list[Glyph]] = [[]]
    used = 0
    each = [
        _glyphs(index, data, None if starts is None or index < start else starts[index], dots)
        for index, data in enumerate(tokens)
    ]
    for glyphs in _words(each):
        whole = sum(glyph.width for glyph in glyphs)
        if used and used + whole > width:
            lines.append([])
            used = 0
        for glyph in glyphs:
            if used and used + glyph.width > width:
                lines.append([])
                used = 0
            lines[-1].append(glyph)
            used += glyph.width
            if glyph.shown == "⏎":
                lines.append([])
                used = 0
    return tuple(map(tuple, lines))


def _words(tokens: "Sequence[list[Glyph]]") -> "list[list[Glyph]]":
    """The tokens of a word, and the punctuation behind it, together: a word begins with a space or a new line."""
    words: list[list[Glyph]] = []
    for glyphs in tokens:
        begins = glyphs[0].shown in " ·⏎"
        if begins or not words or words[-1][-1].shown == "⏎":
            words.append([])
        words[-1].extend(glyphs)
    return words


def _glyphs(index: int, data: bytes, place: int | None, dots: bool) -> "list[Glyph]":
    try:
        characters = data.decode()
    except UnicodeDecodeError:
        shown = token_text(data)
        return [Glyph(shown, cell_len(shown), index, place)]
    made: list[Glyph] = []
    for offset, character in enumerate(characters):
        shown = "⏎" if character == "\n" else "·" if dots and character == " " else visible(character, keep="")
        width = cell_len(shown)
        if width == 0 and made:  # an accent belongs to what stands before it
            last = made[-1]
            made[-1] = Glyph(last.shown + shown, last.width, index, last.place)
        else:
            made.append(Glyph(shown, width, index, None if place is None else place + offset))
    return made or [Glyph("∅", 1, index, place)]


def draw(scene: Scene, width: int, height: int, late: bool) -> Picture:
    """The lines around the cursor."""
    made = Picture()
    document = scene.state.document
    now = document.now
    coloured = has_colours(scene.console)
    layout = lay_out(tuple(document.tokens), now.start, now.text, max(width, 1), not coloured)
    placeless = scene.state.editing and (now.error or document.char_starts() is None)
    if placeless:
        layout = _plain(now.text, max(width, 1))
    bits = _bits(scene)
    focus = _focus(layout, scene, bool(placeless))
    first = min(max(focus - height + 1 + (height > 2), 0), max(len(layout) - height, 0))
    for row in range(first, min(first + height, len(layout))):
        made.add()
        column = 0
        for glyph in layout[row]:
            style = "" if placeless else _style(scene, glyph, bits, coloured, late)
            if scene.state.editing and glyph.place == now.caret:
                style = f"{style} reverse bold".strip()
            made.lines[-1].append(glyph.shown, style)
            made.spot(column, column + glyph.width, "point", glyph.token, glyph.place)
            column += glyph.width
        if row == len(layout) - 1:
            if scene.state.editing and now.caret >= len(now.text):
                made.lines[-1].append(" ", "reverse bold")
            made.spot(column, max(width, column + 1), "point", max(len(now.ids) - 1, 0), len(now.text))
    return made


def lines_needed(scene: Scene, width: int) -> int:
    """Lines of the whole text."""
    now = scene.state.document.now
    dots = not has_colours(scene.console)
    return len(lay_out(tuple(scene.state.document.tokens), now.start, now.text, max(width, 1), dots))


def step_line(scene: Scene, width: int, lines: int) -> int:
    """The token above or below the cursor."""
    now = scene.state.document.now
    dots = not has_colours(scene.console)
    layout = lay_out(tuple(scene.state.document.tokens), now.start, now.text, max(width, 1), dots)
    column = row = 0
    for number, glyphs in enumerate(layout):
        before = 0
        for glyph in glyphs:
            if glyph.token == scene.state.cursor:
                row, column = number, before
                break
            before += glyph.width
    wanted = min(max(row + lines, 0), len(layout) - 1)
    before = 0
    for glyph in layout[wanted]:
        before += glyph.width
        if before > column:
            return glyph.token
    return layout[wanted][-1].token if layout[wanted] else scene.state.cursor


def _plain(text: str, width: int) -> Layout:
    """A text without tokens, for a caret in one that the tokenizer changes."""
    return lay_out(tuple(character.encode() for character in text), 0, text, width, False)


def _focus(layout: Layout, scene: Scene, placeless: bool) -> int:
    """The line of the caret or the cursor."""
    now = scene.state.document.now
    for row, glyphs in enumerate(layout):
        for glyph in glyphs:
            if glyph.place == now.caret if scene.state.editing else glyph.token == scene.state.cursor:
                return row
    return len(layout) - 1


def _bits(scene: Scene) -> "Sequence[float | None]":
    """The surprisal of each token, as far as the newest answer is of the same text."""
    answer = scene.answer
    if answer is None:
        return ()
    found: list[float | None] = []
    for token, read, came in zip(scene.ids, answer.asked.ids, answer.reading.came, strict=False):
        if token != read:
            break
        found.append(None if came is None else came.bits)
    return found


def _style(scene: Scene, glyph: Glyph, bits: "Sequence[float | None]", coloured: bool, late: bool) -> str:
    theme = palette.current()
    if glyph.token == scene.state.cursor and not scene.state.editing:
        return f"bold {palette.reads_on(theme.accent)} on {theme.accent}" if coloured else "bold reverse"
    figure = bits[glyph.token] if glyph.token < len(bits) else None
    if glyph.token < scene.state.document.now.start or figure is None:
        return f"{theme.quiet} on {theme.raised}" if coloured else "dim"
    if coloured:
        return palette.on_scale(figure / MOST_BITS)
    return "bold underline" if figure >= MOST_BITS / 2 else "underline" if figure >= MOST_BITS / 4 else ""
