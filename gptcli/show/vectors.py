"""The pictures of similarity, neighbors, analogy and direction."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks import palette
from gptcli.show.blocks.heat import finite_bounds, heat_map
from gptcli.show.blocks.pictures import Bar, bar, bar_piece, table
from gptcli.show.blocks.plot import nice_ticks
from gptcli.text import token_text, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.measure import Measurement
    from rich.style import Style
    from rich.text import Text

    from gptcli.embedding.answers import Direction, Neighbors, Similarities

_BAR = 40
_LABEL = 32
MEASURES = {"cosine": "cosine similarity", "dot": "dot product", "euclidean": "euclidean distance"}


@dataclass(frozen=True)
class SpanBar:
    """A bar from zero to a value, to the left if it is negative, as wide as its column up to a limit.

    Attributes:
        value: its end.
        low: the value at the column's left end, at most 0.
        high: the value at its right end, at least 0.
    """

    value: float
    low: float
    high: float

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw the left part, the axis if there is a left part, and the right part."""
        from rich.text import Text

        yield Text.assemble(*self.pieces(options.max_width))

    def pieces(self, width: int) -> "Sequence[tuple[str, str | Style]]":
        """The same for a line of a table (``row_lines.Line``)."""
        width, theme = min(width, _BAR), palette.current()
        span = (self.high - self.low) or 1.0
        left = round(-self.low / span * (width - 1)) if self.low < 0 else 0
        if not left:
            return [bar_piece(bar(self.value / span, width), self.value / span * width, theme.bar)]
        # Block characters fill from the left; for the right, Unicode has only a half.
        halves = max(round(2 * left * self.value / self.low), 1) if self.value < 0 else 0
        negative = ("▐" if halves % 2 else "") + "█" * (halves // 2)
        right, share = width - 1 - left, self.value / self.high if self.value > 0 else 0.0
        return [
            (" " * (left - len(negative)), ""),
            bar_piece(negative, -left * self.value / self.low, theme.negative),
            ("│", f"dim {theme.negative}"),
            bar_piece(bar(share, right), share * right, theme.bar),
        ]

    def __rich_measure__(self, console: "Console", options: "ConsoleOptions") -> "Measurement":
        """Any width will do."""
        from rich.measure import Measurement

        return Measurement(8, min(_BAR, options.max_width))


def label(word: str | bytes) -> str:
    """A word as it is; the bytes of a token with their spaces and line breaks made visible."""
    return token_text(word) if isinstance(word, bytes) else visible(word, keep="")


def draw_neighbors(answer: "Neighbors") -> "RenderableType":
    """The nearest words with their scores, best first."""
    from rich.console import Group
    from rich.text import Text

    measure = "3CosMul" if answer.method == "mul" else MEASURES[answer.metric]
    tokens = any(isinstance(item.token, bytes) for item in answer.neighbors)
    low, high = _axis([item.similarity for item in answer.neighbors], cosine=measure == MEASURES["cosine"])
    listed = table(">", "token" if tokens else "word", *([">id"] if tokens else []), f">{measure.split()[-1]}", "")
    for item in answer.neighbors:
        name = _cropped(label(item.token))
        word = Text(name).append("  in the query", style="dim") if item.in_query else name
        cells: list[RenderableType] = [
            str(item.rank),
            word,
            *([str(item.id)] if tokens else []),
            _figure(item.similarity),
        ]
        share = (item.similarity - low) / ((high - low) or 1.0)
        listed.add_row(*cells, Bar(share) if low > 0 else SpanBar(item.similarity, low, high))
    parts: list[RenderableType] = []
    parts += [_headline(answer.query, answer.model, answer.tensor, f"{measure}, {answer.searched:,} searched"), listed]
    if low > 0:
        parts.append(Text(f"bars begin at {low:g} and end at {high:g}", style="dim"))
    left_out = getattr(answer, "left_out", ())
    if left_out:
        words = ", ".join(f"{_cropped(label(item.token))} ({_figure(item.similarity)})" for item in left_out)
        parts.append(Text(f"{words}: left out, as in the query", style="dim"))
    return Group(*parts)


def _axis(scores: Sequence[float], *, cosine: bool) -> tuple[float, float]:
    """The values at both ends of bars: from 0, or where all are far from it from where they begin to differ."""
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    if low < high / 3 or high - low < 1e-6 or not math.isfinite(high):
        return min(0.0, low), 1.0 if cosine else max(0.0, high)
    ticks = list(nice_ticks(low, high))
    # The last bar is to be seen too.
    step = ticks[1] - ticks[0]
    start = ticks[0] if low - ticks[0] > step / 4 else ticks[0] - step
    return (round(start, 9), round(ticks[-1], 9)) if start > 0 else (0.0, 1.0 if cosine else high)


def draw_similarities(answer: "Similarities") -> "RenderableType":
    """Two words: one line that starts with the figure. More: a heat map, split if it is too wide."""
    from rich.text import Text

    labels = [_cropped(visible(name, keep="")) for name in answer.labels]
    if len(labels) > 2:
        return HeatMap(labels, labels, answer.values, _place(answer.model, answer.tensor, MEASURES[answer.metric]))
    line = Text(_figure(answer.values[0][1]), style="bold")
    line.append(f"  {labels[0]} and {labels[1]}", style="not bold")
    return line.append(f"  {_place(answer.model, answer.tensor, MEASURES[answer.metric])}", style="not bold dim")


@dataclass(frozen=True)
class HeatMap:
    """A table of figures, split into groups of columns that fit, on one colour scale."""

    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]
    caption: str

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw as many columns at a time as fit."""
        from rich.cells import cell_len
        from rich.text import Text

        yield Text(self.caption, style="dim")
        bounds = finite_bounds(self.values)
        margin = max((cell_len(visible(row, keep="")) for row in self.rows), default=0) + 1
        widths = [_column_width(visible(name, keep=""), column) for name, column in self._columns()]
        start = 0
        while start < len(widths):
            end = start + 1
            while end < len(widths) and margin + sum(widths[start : end + 1]) <= options.max_width:
                end += 1
            yield heat_map(self.rows, self.columns[start:end], [row[start:end] for row in self.values], bounds)
            start = end

    def _columns(self) -> Iterator[tuple[str, list[float]]]:
        for index, name in enumerate(self.columns):
            yield name, [row[index] for row in self.values]


def _column_width(name: str, column: Sequence[float]) -> int:
    """The width of a column of figures: the longest text is that of the smallest or the largest."""
    from rich.cells import cell_len

    finite = [value for value in column if math.isfinite(value)]
    ends = [_figure(value) for value in ((min(finite), max(finite)) if finite else ())]
    odd = ["-inf"] if len(finite) < len(column) else []
    return max(map(cell_len, (name, *ends, *odd))) + 2


def draw_direction(answer: "Direction") -> "RenderableType":
    """Words along a direction, with bars on both sides of zero."""
    from rich.console import Group

    dots = [product.dot for product in answer.products]
    low, high = min([0.0, *dots]), max([0.0, *dots])
    listed = table("word", ">dot product", "")
    for product in answer.products:
        listed.add_row(
            _cropped(visible(product.label, keep="")), f"{product.dot:+.3f}", SpanBar(product.dot, low, high)
        )
    return Group(_headline(answer.direction, answer.model, answer.tensor, "dot product"), listed)


def _headline(query: str, embedding: str, tensor: str, measure: str) -> "Text":
    from rich.text import Text

    line = Text(visible(query, keep=""), style="bold")
    return line.append(f"\n{_place(embedding, tensor, measure)}", style="not bold dim")


def _place(embedding: str, tensor: str, measure: str) -> str:
    return visible(f"{embedding} {tensor}, {measure}", keep="")


def _figure(value: float) -> str:
    return f"{value:.3f}"


def _cropped(text: str) -> str:
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"
