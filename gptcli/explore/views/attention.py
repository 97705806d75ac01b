"""Attention: the words on both sides and the links of the one under the cursor; its strongest links as arcs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Group

from gptcli.explore.inside import Inside, Patterns
from gptcli.explore.line import Line
from gptcli.explore.picture import Picture, drawn, fitted
from gptcli.explore.views import maps
from gptcli.explore.views.scene import Scene, window
from gptcli.show.blocks import palette
from gptcli.show.blocks.canvas import ACROSS, DOWN, Canvas
from gptcli.show.blocks.heat import has_colours
from gptcli.show.blocks.pictures import bar
from gptcli.show.links import arcs
from gptcli.text import token_text

# A link that is weaker is not drawn; one from these on is drawn with two and with three lines.
_LEAST_LINK, _STRONG, _VERY_STRONG = 0.02, 0.25, 0.6
# Columns of a word, of a figure, and of a bar.
_WORD, _FIGURE, _BAR = 14, 4, 10
# Lines that arcs take with their heading, and the least that are left for the words then.
_ARCS, _WORDS_FIRST = 9, 8


@dataclass(frozen=True)
class Arc:
    """A link from the word under the cursor; everything counts from 1."""

    layer: int
    head: int
    query: int
    key: int
    weight: float


@dataclass(frozen=True)
class Word:
    """The word under the cursor, with its links."""

    looks: bool
    positions: list[int]
    links: list[Arc]


class AttentionView:
    """See the module."""

    name, key, title, stop = "attention", "a", "attention", "Attention"

    def wants(self, scene: Scene) -> Any:
        """The weights of this text; where they are too many, of this layer."""
        if not scene.ids or not scene.config.n_layer:
            return None
        every = scene.every_layer(len(scene.ids))
        return scene.ids, scene.state.out, None if every else scene.state.layer

    def compute(self, inside: Inside, wanted: Any) -> Patterns:
        """See ``Inside.patterns``."""
        return inside.patterns(*wanted)

    def draw(self, scene: Scene, found: Any, width: int, height: int) -> Picture:
        """The words with their links, arcs below them, and the small maps beside them."""
        if not isinstance(found, Patterns) or (pattern := found.of(scene.state.layer)) is None:
            return Picture()
        cell = maps.cell_that_fits(scene, found, width, height)
        left = width if cell is None else width - maps.width_of(scene, cell) - 2
        below = _arcs(scene, found, left) if height >= _ARCS + min(len(found.ids), _WORDS_FIRST) + 1 else Picture()
        made = _words(scene, found, pattern, left, height - len(below.lines))
        made.below(below)
        return made if cell is None else made.next_to(maps.draw(scene, found, cell, height), left + 2)


def _words(scene: Scene, found: Patterns, pattern: NDArray[np.float32], width: int, height: int) -> Picture:
    """Who looks on the left, who is looked at on the right, and the links of the cursor's word between them."""
    made, theme = Picture(), palette.current()
    tokens = [token_text(token) for token in scene.tokens(found.ids)]
    here = min(scene.cursor, len(tokens) - 1)
    weights = pattern[min(scene.state.head, len(pattern) - 1)]
    rows = window(len(tokens), here, max(height - 1, 1))
    pitch = 2 if 2 * len(rows) <= height - 1 else 1
    word = max(min(max(map(cell_len, (tokens[row] for row in rows))), _WORD, (width - _FIGURE - 8) // 2), 3)
    bars = _BAR if width - 2 * word - _FIGURE - _BAR >= 18 else 0
    between = max(width - 2 * word - _FIGURE - bars - 5, 1)
    links = {key: float(weights[here, key]) for key in range(here + 1)}
    hidden = sum(weight for key, weight in links.items() if key < rows.start)
    made.add((f"{'looks':>{word}}", theme.quiet), (fitted("", between + 2), ""), ("is looked at", theme.quiet))
    if hidden >= _LEAST_LINK and made.lines[0].width + 7 <= width:
        made.put((f" ↑ {hidden:.2f}", theme.quiet))
    lanes = _lanes(scene, links, rows, here, between, pitch)
    for index, lane in enumerate(lanes):
        row = rows[index // pitch]
        if index % pitch:
            made.add(" " * (word + 1))
            made.lines[-1].extend(lane)
            continue
        look = f"bold {theme.accent}" if row == here else theme.ink if row < here else theme.quiet
        weight = links.get(row, 0.0)
        linked = row in links and weight >= _LEAST_LINK
        own = fitted(tokens[row], word)
        made.add(" " * (word - cell_len(own.rstrip())), (own.rstrip(), look), " ")
        made.lines[-1].fit(word + 1, pad=True).extend(lane)
        made.put((" ", ""))
        ground = palette.on_scale(weight) if has_colours(scene.console) else theme.ink
        made.put((own, ground if linked else theme.quiet))
        made.put((f" {f'{weight:.2f}'.lstrip('0') if linked else '':>{_FIGURE - 1}} ", theme.ink))
        made.put((bar(weight, bars) if linked else "", theme.bar))
        made.spot(0, width, "point", row, None)
    return made


def _lanes(scene: Scene, links: "dict[int, float]", rows: range, here: int, between: int, pitch: int) -> "list[Line]":
    """The links as lines of dots, the strongest on top."""
    canvas = Canvas(between, max(len(rows) * pitch - (pitch - 1), 1))
    start = (here - rows.start) * DOWN * pitch + 1
    for key, weight in sorted(links.items(), key=lambda each: -each[1]):
        if weight < _LEAST_LINK:
            break
        if key < rows.start:
            continue
        end = (key - rows.start) * DOWN * pitch + 1
        for thick in range(1 + (weight >= _STRONG) + (weight >= _VERY_STRONG)):
            colour = palette.colour(0.25 + 0.75 * weight)
            canvas.line((0, start + thick), (between * ACROSS - 1, end + thick), colour)
    return drawn(scene.console, Group(*canvas.lines()), between).lines


def _arcs(scene: Scene, found: Patterns, width: int) -> Picture:
    """The strongest links of the cursor's word in all the layers that are there, over the text."""
    made, theme = Picture(), palette.current()
    here = min(scene.cursor, len(found.ids) - 1)
    if not here or width < 30:
        return made
    links = [
        Arc(layer + 1, head + 1, here + 1, key + 1, float(weights[head, here, key]))
        for layer, weights in zip(found.layers, found.weights, strict=True)
        for head in range(len(weights))
        for key in map(int, np.argsort(-weights[head, here, :here])[:3])
    ]
    links.sort(key=lambda link: -link.weight)
    # Where most heads look at the first token, that says little.
    chosen = [link for link in links if link.key > 1] or links
    tokens = scene.tokens(found.ids)
    lines = drawn(scene.console, Group(*arcs(tokens, Word(True, [here + 1], chosen), width)), width).lines
    while lines and not lines[-1].plain.strip():
        lines.pop()
    if not lines or len(lines) > _ARCS - 2:
        return made
    made.add()
    where = "" if len(found.layers) > 1 else f" in layer {found.layers[0] + 1}"
    made.add((fitted(f"its strongest links{where} (first token aside)", width), theme.quiet))
    made.lines += lines
    return made
