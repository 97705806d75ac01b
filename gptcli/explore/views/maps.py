"""All heads small: a map for each, in a row for each layer."""

import numpy as np
from numpy.typing import NDArray

from gptcli.explore.inside import Patterns
from gptcli.explore.line import Line
from gptcli.explore.picture import Picture, fitted
from gptcli.explore.views.scene import Scene, window
from gptcli.show.blocks import palette
from gptcli.show.blocks.heat import half_blocks, has_colours, map_shade

# Cells of a map, at least and at most; the columns that the words and their links take first, and at most.
_SMALL, _LARGE = 6, 24
_WORDS, _ENOUGH = 36, 72
_MARGIN = 2
# Colours are rounded to so many steps, so that few are different.
_STEPS = 24


def width_of(scene: Scene, cell: int) -> int:
    """The columns that all maps of a layer take."""
    return scene.state.n_head * (cell + 1) + _MARGIN


def cell_that_fits(scene: Scene, found: Patterns, width: int, height: int) -> int | None:
    """The cells of a map with which all heads fit beside the words; None where there is no space."""
    fitting = [cell for cell in range(_LARGE, _SMALL - 1, -2) if width - width_of(scene, cell) - 2 >= _WORDS]
    fitting = [cell for cell in fitting if height >= cell // 2 + 1]
    whole = [cell for cell in fitting if len(found.layers) * (cell // 2 + 1) <= height]
    roomy = [cell for cell in whole if width - width_of(scene, cell) - 2 >= min(_ENOUGH, width // 2)]
    best = roomy or whole[-1:] or fitting[-1:]
    return next(iter(best), None)


def draw(scene: Scene, found: Patterns, cell: int, height: int) -> Picture:
    """A row of maps for each layer, as many as fit around the chosen one."""
    made, theme = Picture(), palette.current()
    lines = (cell + 1) // 2 + 1
    place = found.layers.index(scene.state.layer)
    for index in window(len(found.layers), place, max(height // lines, 1)):
        layer, start = found.layers[index], len(made.lines)
        made.lines += [Line(" " * _MARGIN) for _ in range(lines)]
        for head, weights in enumerate(found.weights[index]):
            here = (layer, head) == (scene.state.layer, scene.state.head)
            out = (layer, head) in scene.state.out
            name = f"{layer + 1}.{head + 1}" + (" out" if out else "")
            look = f"bold {theme.accent}" if here else f"bold {theme.warning}" if out else theme.quiet
            begin = made.lines[start].width
            made.lines[start].append(fitted(f"▸{name}" if here else f" {name}", cell + 1), look)
            for row, text in enumerate(_map(scene, found, (index, head), weights, cell), start=1):
                made.lines[start + row].extend(text).append(" ")
            for row in range(lines):
                made.lines[start + row].fit(begin + cell + 1, pad=True)
                made.spot(begin, begin + cell + 1, "head", layer, head, row=start + row)
    return made


def _map(
    scene: Scene, found: Patterns, place: tuple[int, int], weights: NDArray[np.float32], cell: int
) -> "list[Line]":
    """One map; it is kept with its weights."""
    coloured = has_colours(scene.console)
    key = (*place, cell, coloured, palette.current().name)
    if key not in found.pictures:
        found.pictures[key] = _drawn(smaller(weights, cell), coloured)
    kept: list[Line] = found.pictures[key]
    return kept


def _drawn(weights: NDArray[np.float32], coloured: bool) -> "list[Line]":
    rounded = np.rint(weights * _STEPS) / _STEPS
    rows = [[None if value != value else value for value in row] for row in rounded.tolist()]
    empty: list[float | None] = [None] * len(rows[0])
    made = []
    for index in range(0, len(rows), 2):
        upper, lower = rows[index], rows[index + 1] if index + 1 < len(rows) else empty
        if coloured:
            made.append(Line(*(half_blocks(top, bottom) for top, bottom in zip(upper, lower, strict=True))))
        else:
            pairs = zip(upper, lower, strict=True)
            both = [max((each for each in pair if each is not None), default=None) for pair in pairs]
            made.append(Line("".join(map(map_shade, both))))
    return made


def smaller(weights: NDArray[np.float32], cell: int) -> NDArray[np.float32]:
    """A pattern [T, T] in at most ``cell`` rows and columns, each with the largest weight of its part; NaN ahead."""
    length = len(weights)
    masked = np.where(np.tril(np.ones_like(weights, dtype=bool)), weights, np.float32(np.nan))
    if length <= cell:
        return masked
    edges = np.linspace(0, length, cell + 1).astype(int)[:-1]
    filled = np.where(np.isnan(masked), np.float32(-1), masked)
    both = np.maximum.reduceat(np.maximum.reduceat(filled, edges, axis=0), edges, axis=1)
    return np.where(both < 0, np.float32(np.nan), both)
