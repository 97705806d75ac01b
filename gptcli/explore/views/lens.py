"""The lens: what the model would say after each layer, at each position."""

from typing import Any

from gptcli.explore.inside import Inside, LensCells
from gptcli.explore.picture import Picture, fitted, joined
from gptcli.explore.views.scene import Scene, window
from gptcli.show.blocks import palette
from gptcli.show.blocks.figures import percent
from gptcli.show.blocks.heat import has_colours
from gptcli.show.blocks.pictures import LONGEST_BAR, bar
from gptcli.text import token_text

_NARROW, _WIDE = 7, 12  # columns of a cell
_MARGIN = 6
# Positions that are computed around the cursor: as many as the widest screen shows.
_BEFORE = 32


class LensView:
    """See the module."""

    name, key, title, stop = "lens", "l", "lens", "Where it makes up its mind"

    def wants(self, scene: Scene) -> Any:
        """The guesses at the positions that may be on the screen."""
        if not scene.ids or not scene.config.n_layer:
            return None
        end = min(scene.cursor + _BEFORE // 4, len(scene.ids))
        first = max(end - _BEFORE, 0)
        return scene.ids, scene.state.out, first, min(first + _BEFORE, len(scene.ids))

    def compute(self, inside: Inside, wanted: Any) -> LensCells:
        """See ``Inside.lens``."""
        return inside.lens(*wanted)

    def draw(self, scene: Scene, found: Any, width: int, height: int) -> Picture:
        """A row for each layer, a column for each position."""
        made, theme = Picture(), palette.current()
        if not isinstance(found, LensCells):
            return made
        count = len(found.best[0])
        space = max(width - _MARGIN, _NARROW)
        cell = min(max(space // max(count, 1), _NARROW), _WIDE)
        shown = window(count, scene.cursor - found.first, max(space // cell, 1))
        tokens = [token_text(token) for token in scene.tokens(found.ids[found.first : found.first + count])]
        made.add((fitted("after", _MARGIN), theme.quiet))
        for column in shown:
            here = column + found.first == scene.cursor
            made.lines[-1].append(
                fitted(tokens[column], cell - 1) + " ", f"bold {theme.accent}" if here else f"bold {theme.ink}"
            )
            _spot(made, column - shown.start, cell, "point", column + found.first, None)
        stages = len(found.best)
        for stage in window(stages, scene.state.layer + 1, max(height - 2, 1)):
            self._stage(made, scene, found, stage, shown, cell)
        if len(made.lines) < height:
            made.add((joined(_verdict(scene, found), width), theme.quiet))
        if len(made.lines) + stages + 2 <= height:
            made.below(_track(scene, found, width))
        return made

    def _stage(self, made: Picture, scene: Scene, found: LensCells, stage: int, shown: range, cell: int) -> None:
        theme = palette.current()
        chosen = stage == scene.state.layer + 1
        name = "embed" if stage == 0 else f"{stage}"
        made.add((fitted(f"{name:>5}", _MARGIN), f"bold {theme.accent}" if chosen else theme.quiet))
        made.spot(0, _MARGIN, "layer", stage - 1)
        for column in shown:
            probability = found.probabilities[stage][column]
            token = token_text(scene.tokens([found.best[stage][column]])[0])
            text = fitted(token, cell - 1)
            settled = all(row[column] == found.best[-1][column] for row in found.best[stage:])
            coloured = has_colours(scene.console)
            style = palette.on_scale(probability) if coloured else "bold" if probability > 0.5 else ""
            here = column + found.first == scene.cursor
            made.lines[-1].append(text, f"{style} bold" if settled else style)
            made.lines[-1].append("▏" if here else " ", theme.accent)
            _spot(made, column - shown.start, cell, "point", column + found.first, None)


def _spot(made: Picture, column: int, cell: int, *action: object) -> None:
    start = _MARGIN + column * cell
    made.spot(start, start + cell, *action)


def _track(scene: Scene, found: LensCells, width: int) -> Picture:
    """The best guess after each layer at the cursor, with a bar."""
    made, theme, column = Picture(), palette.current(), scene.cursor - found.first
    if not 0 <= column < len(found.best[0]):
        return made
    made.add()
    made.add(("at the cursor: the best guess after each layer", theme.quiet))
    for stage, (ids, probabilities) in enumerate(zip(found.best, found.probabilities, strict=True)):
        same = ids[column] == found.best[-1][column]
        chosen = stage == scene.state.layer + 1
        name = "embed" if stage == 0 else f"{stage}"
        made.add(
            (fitted(f"{name:>5}", _MARGIN), f"bold {theme.accent}" if chosen else theme.quiet),
            (fitted(token_text(scene.tokens([ids[column]])[0]), 15), f"bold {theme.ink}" if same else theme.quiet),
            (f"{percent(probabilities[column]):>8} ", theme.ink),
            (bar(probabilities[column], min(width - _MARGIN - 24, LONGEST_BAR)), theme.bar if same else theme.quiet),
        )
        made.spot(0, width, "layer", stage - 1)
    return made


def _verdict(scene: Scene, found: LensCells) -> list[str]:
    column = scene.cursor - found.first
    if not 0 <= column < len(found.best[0]):
        return [""]
    last = found.best[-1][column]
    since = next(stage for stage in range(len(found.best)) if all(row[column] == last for row in found.best[stage:]))
    token = token_text(scene.tokens([last])[0])
    where = "from the embedding on" if since == 0 else f"settled after layer {since}"
    return [f"{token} {percent(found.probabilities[-1][column])}: {where}", "bold: the last guess already"]
