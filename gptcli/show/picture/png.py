"""A saved picture as PNG: the SVG, drawn by resvg (https://pypi.org/project/resvg-py/).

It is one wheel for each system, without libraries of the system; it draws with the fonts that are installed.
"""

from functools import cache

from gptcli.errors import GptcliError

# Pixels of the PNG for one of the SVG: sharp on a slide and on a dense screen.
SCALE = 2
_EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">{}</svg>'
_LETTER = '<text x="2" y="16" font-size="16" font-family="monospace">M</text>'


def check_png() -> None:
    """Refuse before any work is done.

    Raises:
        GptcliError: what draws PNGs is not installed.
    """
    from importlib.util import find_spec

    if find_spec("resvg_py") is None:
        raise GptcliError("--save: .png needs resvg-py: pip install resvg-py (.svg needs nothing)")


def png(svg: str) -> bytes:
    """An SVG, drawn at ``SCALE``.

    Raises:
        GptcliError: resvg is not installed, this system has no fonts, or the picture is too large.
    """
    check_png()
    if not _has_fonts():
        raise GptcliError("--save: there is no font on this system to draw text with: install one, or save as .svg")
    import resvg_py

    try:
        return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=SCALE))
    except ValueError as error:
        raise GptcliError(f"--save: cannot draw this picture as .png: {error}; .svg holds more") from error


@cache
def _has_fonts() -> bool:
    """Whether a letter leaves a trace; without fonts resvg leaves text out and says nothing."""
    import resvg_py

    drawn = [resvg_py.svg_to_bytes(svg_string=_EMPTY.format(inside)) for inside in ("", _LETTER)]
    return bytes(drawn[0]) != bytes(drawn[1])
