"""An opened layer as a row of boxes: Q · K, softmax, · V, output and MLP, with a few numbers in each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gptcli.counting.steps import OF_POSITIONS
from gptcli.show.blocks.figures import number_text
from gptcli.show.blocks.palette import series
from gptcli.show.blocks.word_map import shortened
from gptcli.show.terminal.watching import lines_allowed
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

    from gptcli.counting.steps import TraceStep
    from gptcli.tokenizer.token import Token

# Title, the step whose data a box shows, and the steps whose weights it has.
_BOXES = (
    ("Q · K", ("scores", "capped", "+ slope"), ("query", "key")),
    ("softmax", ("softmax",), ()),
    ("· V", ("weighted values",), ("value",)),
    ("output", ("output",), ("output",)),
    ("MLP", ("down", "mixed"), ("gate", "up", "down", "experts")),
)
_NAMES = {"query": "Q", "key": "K", "value": "V", "output": "O"}
_FEW = 4
_ON = "→ "  # before a row that goes on from the one above
_LONGEST = 7  # columns of a token


class _Box(NamedTuple):
    """A title, and lines with their colours."""

    title: str
    lines: list[tuple[str, str]]

    @property
    def width(self) -> int:
        from rich.cells import cell_len

        return max(cell_len(self.title), *(cell_len(line) for line, _ in self.lines)) + 4


@dataclass(frozen=True)
class LayerDiagram:
    """The steps of an opened layer as boxes, in one row or as many as the width asks for.

    Attributes:
        steps: of the layer.
        tokens: of the text; None where a configuration alone is traced.
        parallel: whether the MLP reads what attention reads.
    """

    steps: "Sequence[TraceStep]"
    tokens: "Sequence[Token] | None"
    parallel: bool

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw the boxes, with the shapes of their weights if that takes no second row."""
        from rich.text import Text

        for weights, arrow in ((True, " → "), (True, "→"), (False, " → "), (False, "→")):
            boxes = [box for box in (self._box(*each, weights=weights) for each in _BOXES) if box is not None]
            if _width(boxes, arrow) <= options.max_width:
                break
        rows: list[list[_Box]] = [[]]
        for box in boxes:
            if rows[-1] and _width([*rows[-1], box], arrow) > options.max_width:
                rows.append([])
            rows[-1].append(box)
        for row in rows:
            goes_on = row is not rows[0] and _width(row, arrow) + len(_ON) <= options.max_width
            yield from self._row(row, arrow, _ON if goes_on else "")
        if lines_allowed() is not None:
            return
        reads = "; the MLP reads what attention reads" if self.parallel else ""
        added = "What output and MLP give is added to the residual stream, which goes on past them"
        yield Text(f"{added}{reads}. --full lists every step.", style="dim")

    def _box(self, title: str, data: Sequence[str], owners: Sequence[str], *, weights: bool) -> "_Box | None":
        step = next((step for step in reversed(self.steps) if step.name in data), None)
        if step is None:
            return None
        lines = [(f"[{' × '.join(f'{size:,}' for size in step.shape)}]", series(1))]
        if weights:
            lines += [(text, series(0)) for text in self._weights(owners)]
        return _Box(title, [*lines, *((text, series(1)) for text in self._numbers(step))])

    def _weights(self, owners: Sequence[str]) -> Iterator[str]:
        """The shapes of the matrices, those that are equal on one line."""
        shapes: dict[str, list[str]] = {}
        for step in self.steps:
            if step.name in owners and step.weights:
                shape = " × ".join(f"{size:,}" for size in step.weights[0].shape)
                shapes.setdefault(shape, []).append(_NAMES.get(step.name, step.name))
        for shape, names in shapes.items():
            yield f"{', '.join(names)} ⟨{shape}⟩"

    def _numbers(self, step: "TraceStep") -> Iterator[str]:
        """The first numbers of the last token's row; or one for each of the latest tokens, with its name."""
        if step.name not in OF_POSITIONS or self.tokens is None:
            yield from (number_text(number) for number in step.numbers[: _FEW - 1])
            return
        numbers = step.numbers[-_FEW:]
        names = [shortened(token_text(token.token), _LONGEST) for token in self.tokens[-len(numbers) :]]
        widest = max(map(_cells, names), default=0)
        for name, number in zip(names, numbers, strict=True):
            yield f"{name}{' ' * (widest - _cells(name))} {number_text(number)}"

    def _row(self, boxes: Sequence[_Box], arrow: str, lead: str) -> "Iterator[Text]":
        """Boxes side by side, with arrows at the height of their titles."""
        from rich.text import Text

        tall = max(len(box.lines) for box in boxes)
        for index in range(-1, tall + 2):
            line = Text(no_wrap=True, overflow="crop")
            for place, box in enumerate(boxes):
                before = arrow if place else lead
                apart = self.parallel and box.title == "MLP"
                line.append(before if index == 0 and not apart else " " * len(before), style="bold")
                _append(line, box, index, last=index == tall + 1)
            yield line


def _width(boxes: Sequence[_Box], arrow: str) -> int:
    return sum(box.width for box in boxes) + len(arrow) * (len(boxes) - 1)


def _append(line: "Text", box: _Box, index: int, *, last: bool) -> None:
    """One line of a box: its top, its title, its content or nothing, its bottom."""
    inner = box.width - 2
    if index == -1:
        line.append(f"┌{'─' * inner}┐", style="dim")
        return
    if last:
        line.append(f"└{'─' * inner}┘", style="dim")
        return
    text, style = (box.title, "bold") if not index else box.lines[index - 1] if index <= len(box.lines) else ("", "")
    line.append("│ ", style="dim").append(text, style=style)
    line.append(" " * (inner - 2 - _cells(text))).append(" │", style="dim")


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
