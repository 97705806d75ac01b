"""The picture of ``gptcli lens --attribution``: the contributions to a logit as bars, and the heads as a map."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks import palette
from gptcli.show.blocks.heat import heat_map
from gptcli.show.blocks.pictures import Bar, bar, bar_piece, table
from gptcli.show.html.parts import Cell, Grid, Legend, Listing, PagePart
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.measure import Measurement
    from rich.style import Style

    from gptcli.inspection.attribution import Attribution, Contribution
    from gptcli.show.blocks.rows import Rows

_WIDEST = 61
_NAMES = {
    "embedding": "token embedding",
    "position": "position embedding",
    "final norm bias": "final norm's bias",
    "unembedding bias": "unembedding's bias",
    "attention bias": "attention bias",
    "mlp": "MLP",
    "mlp bias": "MLP bias",
    "attention norm bias": "norm bias behind attention",
    "mlp norm bias": "norm bias behind MLP",
    "intervention": "intervention",
}


def draw(attribution: "Attribution", top: int) -> "RenderableType":
    """The largest parts, the sum, and the contribution of each head."""
    from rich.console import Group
    from rich.text import Text

    head = Text(f"What makes the logit of {token_text(attribution.token)} {attribution.logit:.3f}", style="bold")
    parts: list[RenderableType] = [head, _bars(attribution, top)]
    if attribution.frozen is not None:
        parts.append(Text(frozen_scale(attribution), style="dim"))
    if attribution.heads():
        parts += [Text("\nWhat each head adds (rows: layers)", style="bold"), HeadMap(attribution.heads())]
    return Group(*parts)


def frozen_scale(attribution: "Attribution") -> str:
    """One sentence on the frozen norms."""
    return f"With the scale of {attribution.frozen} held as in this run, a logit is a sum."


def page_parts(attribution: "Attribution", top: int) -> list[PagePart]:
    """The parts of a page: a list of the largest contributions, and a map of the heads."""
    parts = sorted(attribution.contributions, key=lambda part: -abs(part.logit))
    most = max((abs(part.logit) for part in parts), default=0.0) or 1.0
    rows = [((part_name(part), f"{part.logit:+.3f}"), part.logit / most) for part in parts[:top]]
    if len(parts) > top:
        rest = sum(part.logit for part in parts[top:])
        rows.append(((f"{len(parts) - top:,} smaller", f"{rest:+.3f}"), max(min(rest / most, 1.0), -1.0)))
    rows.append((("all together", f"{attribution.total:+.3f}"), 0.0))
    listing = Listing(f"What makes the logit of {token_text(attribution.token)}", ("part", ">adds"), rows)
    heads = attribution.heads()
    if not heads:
        return [listing]
    limit = max(abs(value) for row in heads for value in row) or 1.0
    ticks = [(f"{limit * step:+.2f}", (step + 1) / 2) for step in (-1, -0.5, 0, 0.5, 1)]
    grid = Grid(
        title=f"What each head adds to the logit of {token_text(attribution.token)}",
        names=("adds",),
        rows=[f"layer {layer}" for layer in range(1, len(heads) + 1)],
        columns=[f"head {head}" for head in range(1, len(heads[0]) + 1)],
        cells=[[Cell(f"{each:+.2f}", (each / limit + 1) / 2, (f"{each:+.4f}",)) for each in row] for row in heads],
        large=True,
        legend=Legend("adds", ticks, signed=True),
    )
    return [listing, grid]


def part_name(part: "Contribution") -> str:
    """The name of a part."""
    if part.kind == "head":
        return f"layer {part.layer} head {part.head}"
    return _NAMES[part.kind] if part.layer is None else f"layer {part.layer} {_NAMES[part.kind]}"


def _bars(attribution: "Attribution", top: int) -> "Rows":
    parts = sorted(attribution.contributions, key=lambda part: -abs(part.logit))
    most = max((abs(part.logit) for part in parts), default=0.0) or 1.0
    rest = sum(part.logit for part in parts[top:])
    if len(parts) > top:
        most = max(most, abs(rest))
    made = table("part", ">adds")
    made.add_column("")
    shown = [part.logit for part in parts[:top]] + [rest] * (len(parts) > top)
    bars = bars_of(shown, most)
    for part, bar_ in zip(parts[:top], bars, strict=False):
        made.add_row(part_name(part), f"{part.logit:+.3f}", bar_)
    if len(parts) > top:
        made.add_row(f"{len(parts) - top:,} smaller", f"{rest:+.3f}", bars[-1], style="dim")
    made.add_section()
    made.add_row("all together", f"{attribution.total:+.3f}", style="bold")
    lost = attribution.logit - attribution.total
    if abs(lost) >= 0.0005:
        made.add_row("lost to rounding", f"{lost:+.3f}", style="dim")
    return made


def bars_of(values: Sequence[float], most: float) -> "list[Bar | SignedBar]":
    """Bars for figures with signs, of which ``most`` fills one; without a side for negative ones if there are none."""
    return [SignedBar(value / most) if min(values) < 0 else Bar(value / most) for value in values]


@dataclass(frozen=True)
class SignedBar:
    """A bar from the middle, right for positive values, left for negative ones; ``fraction`` is -1 to 1."""

    fraction: float

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw it as wide as its column."""
        from rich.text import Text

        yield Text.assemble(*self.pieces(options.max_width), no_wrap=True)

    def pieces(self, width: int) -> "Sequence[tuple[str, str | Style]]":
        """The same for a line of a table (``row_lines.Line``)."""
        theme, half = palette.current(), max((min(width, _WIDEST) - 1) // 2, 1)
        # Unicode has no characters that fill from the right in eighths; halves are used.
        halves = max(round(-self.fraction * half * 2), 1) if self.fraction < 0 else 0
        left = ("▐" if halves % 2 else "") + "█" * (halves // 2)
        return [
            (" " * (half - len(left)), ""),
            bar_piece(left, max(self.fraction, -1.0) * half, theme.negative),
            ("│", f"dim {theme.negative}"),
            bar_piece(bar(self.fraction, half), min(self.fraction, 1.0) * half, theme.bar),
        ]

    def __rich_measure__(self, console: "Console", options: "ConsoleOptions") -> "Measurement":
        """Any width will do."""
        from rich.measure import Measurement

        return Measurement(3, min(_WIDEST, options.max_width))


@dataclass(frozen=True)
class HeadMap:
    """[layers][heads] figures on colours; the middle of the colour map is 0."""

    values: list[list[float]]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """As many digits as fit, then as many heads."""
        from rich.text import Text

        rows = [str(layer) for layer in range(1, len(self.values) + 1)]
        margin, count = len(rows[-1]) + 1, len(self.values[0])
        for digits in (3, 2, 1):
            texts = [[f"{value:+.{digits}f}" for value in row] for row in self.values]
            cell = max(len(text) for row in texts for text in row) + 2
            if margin + cell * count <= options.max_width:
                break
        shown = max(min((options.max_width - margin) // cell, count), 1)
        most = max(abs(value) for row in self.values for value in row) or 1.0
        columns = [f"{head}" for head in range(1, shown + 1)]
        yield heat_map(
            rows,
            columns,
            [row[:shown] for row in self.values],
            (-most, most),
            [row[:shown] for row in texts],
            signed=True,
        )
        if shown < count:
            yield Text(f"heads {shown + 1} to {count} do not fit in this width", style="dim")
