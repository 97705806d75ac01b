"""The colours of everything that is shown: terminal, saved pictures and pages, for dark and for light grounds.

Two themes of plain data, and the one that pictures are drawn in now. A colour is ``#rrggbb``. The colour map begins
near the ground and ends far from it, so that "nothing" is quiet on either: on dark it is cividis (Nuñez et al. 2018),
which is even in lightness and looks the same to colour-blind readers; on light the same hues run from pale to dark.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal


@dataclass(frozen=True)
class Theme:
    """The colours on one kind of ground.

    Attributes:
        name: ``dark`` or ``light``.
        ground, raised: behind everything, and behind what stands out from it. Saved files have them; on a terminal the
            ground is the terminal's own.
        ink, quiet, line: text, less important text, and thin lines.
        bar, negative: bars; bars below zero.
        accent: what is selected or pointed at.
        warning: what needs attention.
        scale: the colour map, from 0 to 1 in equal steps.
        series: one for each group or line of a plot, repeated.
        tokens: grounds of neighbouring tokens, repeated.
        token_ink: text on those.
    """

    name: Literal["dark", "light"]
    ground: str
    raised: str
    ink: str
    quiet: str
    line: str
    bar: str
    negative: str
    accent: str
    warning: str
    scale: tuple[str, ...]
    series: tuple[str, ...]
    tokens: tuple[str, ...]
    token_ink: str

    @property
    def around_zero(self) -> tuple[str, str, str]:
        """The colour map of figures with signs: bars below zero, nothing, bars."""
        return self.negative, self.raised if self.name == "dark" else self.scale[0], self.bar


DARK = Theme(
    name="dark",
    ground="#15161a",
    raised="#202127",
    ink="#ececf0",
    quiet="#a3a4b0",
    line="#3a3b44",
    bar="#d9b84a",
    negative="#7fb2e6",
    accent="#ff7ab8",
    warning="#f0a060",
    scale=(
        "#00224e",
        "#123570",
        "#3b496c",
        "#575d6d",
        "#707173",
        "#8a8678",
        "#a59c74",
        "#c3b369",
        "#e1cc55",
        "#fee838",
    ),
    series=("#5bb8e8", "#f0a060", "#62c99a", "#e58ec8", "#d9cf5a", "#b3a5f5"),
    tokens=("#2b4a66", "#62491f", "#32562a", "#553f63", "#6b3a3c"),
    token_ink="#ffffff",
)
LIGHT = Theme(
    name="light",
    ground="#fbfaf7",
    raised="#ffffff",
    ink="#1b1b1f",
    quiet="#5b5b66",
    line="#d9d6cd",
    bar="#a97900",
    negative="#2d5f9e",
    accent="#b3005e",
    warning="#a84300",
    scale=(
        "#f5f1e3",
        "#e4d7aa",
        "#cdbf88",
        "#b2a77a",
        "#958f7b",
        "#797876",
        "#5e626f",
        "#404d6c",
        "#183770",
        "#022452",
    ),
    series=("#00679e", "#a84300", "#00734f", "#a8327f", "#735c00", "#5b4bb8"),
    tokens=("#b5d6f2", "#f6d6a8", "#c9e7bd", "#e3c9f0", "#f6c6c6"),
    token_ink="#000000",
)
THEMES = {"dark": DARK, "light": LIGHT}

_current: ContextVar[Theme | None] = ContextVar("theme", default=None)
_ask: ContextVar[Callable[[], Theme] | None] = ContextVar("ask", default=None)


def current() -> Theme:
    """The theme that pictures are drawn in, dark if nothing says otherwise.

    The first call may ask the terminal: see ``ask_with``.
    """
    theme, ask = _current.get(), _ask.get()
    if theme is None:
        theme = DARK if ask is None else ask()
        if ask is not None:
            _current.set(theme)
    return theme


def ask_with(ask: Callable[[], Theme] | None) -> None:
    """Forget the theme, and find it with this function when a colour is needed; None: it is dark."""
    _current.set(None)
    _ask.set(ask)


@contextmanager
def using(theme: Theme) -> Iterator[None]:
    """Draw in this theme inside the ``with``: what is built and what is rendered there."""
    before = _current.set(theme)
    try:
        yield
    finally:
        _current.reset(before)


def colour(fraction: float, theme: Theme | None = None, *, signed: bool = False) -> str:
    """The colour for a value between 0 and 1; values outside are clipped.

    Args:
        fraction: the value.
        theme: the current one by default.
        signed: use the colour map of figures with signs, whose middle is zero.
    """
    theme = theme or current()
    return _on_scale(theme.around_zero if signed else theme.scale, min(max(fraction, 0.0), 1.0))


def text_colour(fraction: float, theme: Theme | None = None, *, signed: bool = False) -> str:
    """The colour of text that reads on ``colour(...)``: black or white, whichever contrasts more."""
    return reads_on(colour(fraction, theme, signed=signed))


def on_scale(fraction: float, *, signed: bool = False) -> str:
    """The style of text on the colour of a value."""
    return f"{text_colour(fraction, signed=signed)} on {colour(fraction, signed=signed)}"


def on_token(index: int) -> str:
    """The style of a token among its neighbours."""
    theme = current()
    return f"{theme.token_ink} on {theme.tokens[index % len(theme.tokens)]}"


def series(index: int) -> str:
    """The colour of a group or line."""
    return current().series[index % len(current().series)]


def luminance(shade: str) -> float:
    """Relative luminance, 0 (black) to 1 (white), as WCAG 2.2 defines it."""
    channels = [value / 255 for value in _channels(shade)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2): text needs 4.5, what is larger 3."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@lru_cache(maxsize=4096)
def _on_scale(scale: tuple[str, ...], fraction: float) -> str:
    position = fraction * (len(scale) - 1)
    low = min(int(position), len(scale) - 2)
    pairs = zip(_channels(scale[low]), _channels(scale[low + 1]), strict=True)
    red, green, blue = (round(a + (b - a) * (position - low)) for a, b in pairs)
    return f"#{red:02x}{green:02x}{blue:02x}"


@lru_cache(maxsize=4096)
def reads_on(ground: str) -> str:
    """The colour of text that reads on a ground: black or white, whichever contrasts more."""
    return "#ffffff" if contrast("#ffffff", ground) > contrast("#000000", ground) else "#000000"


def _channels(shade: str) -> tuple[int, int, int]:
    return int(shade[1:3], 16), int(shade[3:5], 16), int(shade[5:7], 16)
