"""The classes of a page: each a look on light ground and on dark. Its policy allows no style anywhere else."""

from collections.abc import Sequence

from gptcli.show.picture.look import Look


class Sheet:
    """Looks that a page needs, and their names."""

    def __init__(self) -> None:
        self._names: dict[tuple[Look, Look], str] = {}

    def name(self, light: Look, dark: Look) -> str:
        """The class of a look in both themes."""
        return self._names.setdefault((light, dark), f"k{len(self._names)}")

    def css(self) -> str:
        """The rules, one for each class."""
        return "".join(f".{name}{{{_rule(*looks)}}}\n" for looks, name in self._names.items())


def both(light: str, dark: str) -> str:
    """A colour that follows the page's theme."""
    return light if light == dark else f"light-dark({light},{dark})"


def _rule(light: Look, dark: Look) -> str:
    parts = [f"color:{both(light.colour, dark.colour)}"]
    if light.ground is not None and dark.ground is not None:
        parts.append(f"background:{both(light.ground, dark.ground)}")
    lines = [name for name, on in (("underline", light.underline), ("line-through", light.strike)) if on]
    parts += ["font-weight:bold"] * light.bold + ["font-style:italic"] * light.italic
    parts += [f"text-decoration:{' '.join(lines)}"] if lines else []
    return ";".join(parts)


class Looks:
    """Looks in the order in which they are met, each written as a mark, until both themes are known."""

    def __init__(self) -> None:
        self.met: list[Look] = []

    def mark(self, look: Look) -> str:
        """What stands for the class of a look; no text holds it, since NUL is made visible in texts."""
        self.met.append(look)
        return f"\0{len(self.met) - 1}\0"


def named(markup: str, light: Sequence[Look], dark: Sequence[Look], sheet: Sheet) -> str:
    """Markup with its marks replaced by classes."""
    pieces = markup.split("\0")
    for place in range(1, len(pieces), 2):
        number = int(pieces[place])
        pieces[place] = sheet.name(light[number], dark[number] if number < len(dark) else light[number])
    return "".join(pieces)
