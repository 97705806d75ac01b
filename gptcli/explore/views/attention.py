"""Attention: the words on both sides and the links of the one under the cursor; all heads small."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptcli.explore.inside import Inside, Patterns
from gptcli.explore.picture import Picture, drawn, fitted
from gptcli.explore.views.scene import Scene, window
from gptcli.show.blocks import palette
from gptcli.show.blocks.canvas import ACROSS, DOWN, Canvas
from gptcli.show.blocks.heat import SmallMap, has_colours
from gptcli.show.blocks.pictures import bar
from gptcli.text import token_text

_LEAST_LINK = 0.02
_WORD = 14  # columns of a word
_FIGURE = 4
_BAR = 8
# Cells of a small map, at least and at most; and the columns that the words and their links take at least.
_SMALL, _LARGE = 6, 16
_WORDS = 36


class AttentionView:
    """See the module."""

    name, key, title, stop = "attention", "a", "attention", "Attention"

    def wants(self, scene: Scene) -> Any:
        """The weights of this text; where they are too many, of this layer."""
        if not scene.ids or not scene.config.n_layer:
            return None
        return scene.ids, scene.state.out, scene.state.layer

    def compute(self, inside: Inside, wanted: Any) -> Patterns:
        """See ``Inside.patterns``."""
        return inside.patterns(*wanted)

    def draw(self, scene: Scene, found: Any, width: int, height: int) -> Picture:
        """The words with their links, and the small maps beside or below them."""
        made = Picture()
        if not isinstance(found, Patterns) or (pattern := found.of(scene.state.layer)) is None:
            return made
        cell = _cell(scene, found, width, height)
        beside = 0 if cell is None else _maps_width(scene, found, cell) + 2
        words = _words(scene, found, pattern, width - beside, height)
        if cell is None:
            return words
        return words.beside(_maps(scene, found, cell, height), width - beside + 2)


def _cell(scene: Scene, found: Patterns, width: int, height: int) -> int | None:
    """The cells of a small map with which all of them fit; None where there is no space."""
    for cell in range(_LARGE, _SMALL - 1, -1):
        fits = width - _maps_width(scene, found, cell) - 2 >= _WORDS and height >= cell // 2 + 2
        if fits and (len(found.layers) * (cell // 2 + 1) <= height or cell == _SMALL):
            return cell
    return None


def _maps_width(scene: Scene, found: Patterns, cell: int) -> int:
    return scene.state.n_head * (cell + 1) + 2


def _maps(scene: Scene, found: Patterns, cell: int, height: int) -> Picture:
    """A row of small maps for each layer, as many as fit around the chosen one."""
    made, theme = Picture(), palette.current()
    lines = (cell + 1) // 2 + 1
    place = found.layers.index(scene.state.layer)
    for index in window(len(found.layers), place, max(height // lines, 1)):
        layer = found.layers[index]
        start = len(made.lines)
        for _ in range(lines):
            made.add()
        made.lines[start].append(f"{layer + 1:<2}", f"bold {theme.ink}" if layer == scene.state.layer else theme.quiet)
        for row in range(1, lines):
            made.lines[start + row].append("  ")
        for head, weights in enumerate(found.weights[index]):
            here = (layer, head) == (scene.state.layer, scene.state.head)
            out = (layer, head) in scene.state.out
            name = f"{layer + 1}.{head + 1}" + (" out" if out else "")
            look = f"bold {theme.accent}" if here else theme.warning if out else theme.quiet
            made.lines[start].append(fitted(f"▸{name}" if here else f" {name}", cell + 1), look)
            small = drawn(scene.console, SmallMap(smaller(weights, cell).tolist(), (0.0, 1.0)), cell)
            for row in range(1, lines):
                text = small.lines[row - 1] if row <= len(small.lines) else None
                if text is not None:
                    text.truncate(cell, pad=True)
                    made.lines[start + row].append_text(text)
                    made.lines[start + row].append(" ")
            for row in range(lines):
                begin = 2 + head * (cell + 1)
                made.spot(begin, begin + cell + 1, "head", layer, head, row=start + row)
    return made


def smaller(weights: NDArray[np.float32], cell: int) -> NDArray[np.float32]:
    """A pattern [T, T] in at most ``cell`` rows and columns, each with the largest weight of its part; NaN ahead."""
    length = len(weights)
    masked = np.where(np.tril(np.ones_like(weights, dtype=bool)), weights, np.float32(np.nan))
    if length <= cell:
        return masked
    edges = np.linspace(0, length, cell + 1).astype(int)[:-1]
    filled = np.where(np.isnan(masked), np.float32(-1), masked)
    rows = np.maximum.reduceat(filled, edges, axis=0)
    both = np.maximum.reduceat(rows, edges, axis=1)
    return np.where(both < 0, np.float32(np.nan), both)


def _words(scene: Scene, found: Patterns, pattern: NDArray[np.float32], width: int, height: int) -> Picture:
    """Who looks on the left, who is looked at on the right, and the links of the cursor's word between them."""
    made, theme = Picture(), palette.current()
    tokens = [token_text(token) for token in scene.tokens(found.ids)]
    here = min(scene.cursor, len(tokens) - 1)
    weights = pattern[min(scene.state.head, len(pattern) - 1)]
    rows = window(len(tokens), here, max(height - 1, 1))
    word = min(max(map(len, (tokens[row] for row in rows))), _WORD, max((width - _FIGURE - 8) // 2, 3))
    bars = _BAR if width - 2 * word - _FIGURE - _BAR >= 16 else 0
    between = max(width - 2 * word - _FIGURE - bars - 5, 0)
    links = {key: float(weights[here, key]) for key in range(here + 1)}
    made.add(
        (fitted("looks", word + 1), theme.quiet),
        (" " * (between + 2), ""),
        (fitted("is looked at", word + _FIGURE + bars + 2), theme.quiet),
    )
    lanes = _lanes(scene, links, rows, here, between)
    for row, lane in zip(rows, lanes, strict=True):
        weight = links.get(row, 0.0)
        look = f"bold {theme.accent}" if row == here else theme.ink if row < here else theme.quiet
        linked = row in links and weight >= _LEAST_LINK
        made.add((fitted(tokens[row].rjust(word) if len(tokens[row]) < word else tokens[row], word), look), " ")
        made.lines[-1].append_text(lane)
        made.lines[-1].append(" ")
        shown = fitted(tokens[row], word)
        made.lines[-1].append(shown, palette.on_scale(weight) if linked and has_colours(scene.console) else theme.quiet)
        figure = f"{weight:.2f}".lstrip("0") if linked else ""
        made.lines[-1].append(f" {figure:>{_FIGURE - 1}} ", theme.ink)
        made.lines[-1].append(bar(weight, bars) if linked else "", theme.bar)
        made.spot(0, word + 1, "point", row, None)
        made.spot(word + 2 + between, width, "point", row, None)
    hidden = sum(weight for key, weight in links.items() if key < rows.start)
    if hidden >= _LEAST_LINK:
        made.lines[0].append(f"↑ {hidden:.2f} above", theme.quiet)
    return made


def _lanes(scene: Scene, links: "dict[int, float]", rows: range, here: int, between: int) -> "Sequence[Any]":
    """The links as lines of dots, the strongest on top."""
    canvas = Canvas(max(between, 1), len(rows))
    start = (0.0, float((here - rows.start) * DOWN + 1))
    for key, weight in sorted(links.items(), key=lambda each: -each[1]):
        if weight < _LEAST_LINK:
            break
        end = (float(max(between, 1) * ACROSS - 1), float((key - rows.start) * DOWN + 1))
        for thick in range(1 + (weight > 0.25) + (weight > 0.6)):
            canvas.line((start[0], start[1] + thick), (end[0], end[1] + thick), palette.colour(0.25 + 0.75 * weight))
    return list(canvas.lines())
