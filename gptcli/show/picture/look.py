"""How a piece of a saved picture looks: its colours on a light or a dark ground, and its weight."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gptcli.show.blocks import palette

if TYPE_CHECKING:
    from rich.style import Style

# Share of the ground in a dim colour; with it, text still contrasts 4.5 to 1.
_DIM = 0.4


class Theme(NamedTuple):
    """The colours that a terminal would bring along.

    Attributes:
        ground, ink: of the page and its text.
        named: the terminal's 16 colours: black, red, green, yellow, blue, magenta, cyan, white, and the bright ones.
    """

    ground: str
    ink: str
    named: tuple[str, ...]


# Paper is white: on a slide, a tinted ground would have edges.
LIGHT = Theme(
    "#ffffff",
    palette.LIGHT.ink,
    (
        *("#1b1b1f", "#b3261e", "#2e7031", "#7a5c00", "#1f5fa8", "#9c2d85", "#0b6a7d", "#5b5b66"),
        *("#5b5b66", "#c62828", "#2e7d32", "#8a6800", "#1565c0", "#ad3294", "#00708a", "#1b1b1f"),
    ),
)
DARK = Theme(
    palette.DARK.ground,
    palette.DARK.ink,
    (
        *("#3a3b44", "#ff8a80", "#8fd694", "#e8c95a", "#8ab8f0", "#e49ad6", "#6fcfe0", "#ececf0"),
        *("#a3a4b0", "#ff9e95", "#a5e0a9", "#f2d878", "#a6c9f5", "#edb3e2", "#8fdcea", "#ffffff"),
    ),
)
THEMES = {"light": LIGHT, "dark": DARK}


@dataclass(frozen=True)
class Look:
    """Of a segment.

    Attributes:
        colour: of its text, ``#rrggbb``.
        ground: of its background; None for the page's.
        bold, italic, underline, strike: as Rich has them.
    """

    colour: str
    ground: str | None = None
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False

    @classmethod
    def of(cls, style: "Style | None", theme: Theme) -> "Look":
        """The look of one of Rich's styles."""
        if style is None:
            return cls(theme.ink)
        colour = _colour(style.color, theme.ink, theme)
        ground = None if style.bgcolor is None else _colour(style.bgcolor, theme.ground, theme)
        if style.reverse:
            colour, ground = ground or theme.ground, colour
        if style.dim:
            colour = mixed(colour, ground or theme.ground, _DIM)
        flags = (style.bold, style.italic, style.underline, style.strike)
        return cls(colour, ground, *map(bool, flags))


def _colour(colour: object, default: str, theme: Theme) -> str:
    from rich.color import Color, ColorType

    if not isinstance(colour, Color) or colour.type == ColorType.DEFAULT:
        return default
    if colour.number is not None and colour.number < len(theme.named):
        return theme.named[colour.number]
    return colour.get_truecolor().hex


def mixed(colour: str, other: str, share: float) -> str:
    """A colour with a share of another in it, in sRGB."""
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(one + (two - one) * share):02x}" for one, two in pairs)


def _channels(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
