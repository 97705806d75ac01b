"""Taking parts out: what each head and MLP does for the prediction, and what changed without those that are out."""

from typing import Any

from gptcli.explore.inside import Effects, Inside
from gptcli.explore.picture import Picture, fitted
from gptcli.explore.state import Part
from gptcli.explore.views.scene import Scene, window
from gptcli.show.blocks import palette
from gptcli.show.blocks.figures import percent
from gptcli.show.blocks.heat import has_colours
from gptcli.show.blocks.signed_map import signed
from gptcli.show.picture.look import mixed
from gptcli.text import token_text

_MARGIN, _LEAST_CELL, _WIDEST_CELL = 3, 6, 9
# Lines of the list of what changed, with its heading.
_CHANGED = 7


class EffectsView:
    """See the module."""

    name, key, title, stop = "effects", "e", "effects", "Take it out"

    def wants(self, scene: Scene) -> Any:
        """The effect of each part on the model's own prediction after the cursor."""
        if not scene.ids or not scene.config.n_layer:
            return None
        return (scene.ids[: scene.cursor + 1],)

    def compute(self, inside: Inside, wanted: Any) -> Effects | str:
        """See ``Inside.effects``."""
        return inside.effects(*wanted)

    def draw(self, scene: Scene, found: Any, width: int, height: int) -> Picture:
        """A cell for each part, which a click takes out, and the tokens that changed most."""
        made, theme = Picture(), palette.current()
        effects = found if isinstance(found, Effects) else None
        if isinstance(found, str):
            made.add((fitted(found, width), theme.quiet))
        elif effects is not None:
            said = f"how far the logit of {token_text(effects.token)} falls without each part"
            made.add((fitted(said, width), theme.quiet))
        changed = _changed(scene, width) if scene.state.out else _hint(width)
        room = height - len(made.lines) - len(changed.lines) - 1
        made.below(_parts(scene, effects, width, max(room, 2)))
        if len(made.lines) < height:
            made.add()
        made.below(changed)
        made.lines = made.lines[:height]
        return made


def _parts(scene: Scene, effects: Effects | None, width: int, height: int) -> Picture:
    """A row for each layer: its MLP, then its heads, as many as fit around the chosen one."""
    made, theme, state = Picture(), palette.current(), scene.state
    cell = max(min((width - _MARGIN) // (state.n_head + 1), _WIDEST_CELL), _LEAST_CELL)
    heads = window(state.n_head, state.head, max((width - _MARGIN) // cell - 1, 1))
    columns: list[int | None] = [None, *heads]
    made.add(" " * _MARGIN)
    for head in columns:
        made.put((f"{'MLP' if head is None else f'head {head + 1}':>{cell - 1}} "[:cell], theme.quiet))
    for layer in window(state.n_layer, state.layer, max(height - 1, 1)):
        made.add((f"{layer + 1:>2} ", f"bold {theme.accent}" if layer == state.layer else theme.quiet))
        for head in columns:
            made.put(_cell(scene, effects, (layer, head), cell), (" ", ""), action=("toggle", layer, head))
    return made


def _cell(scene: Scene, effects: Effects | None, part: Part, width: int) -> tuple[str, str]:
    """A part: its effect on a colour, or that it is out."""
    theme, state = palette.current(), scene.state
    layer, head = part
    here = layer == state.layer and head == state.head
    if part in state.out:
        return f"{'▸' if here else ''}out".rjust(width - 1), f"bold reverse {theme.warning}"
    effect = None if effects is None else effects.of(part)
    text = "" if effect is None else signed(effect)
    text = f"{'▸' if here else ''}{text or '·'}".rjust(width - 1)
    if effect is None or effects is None or not has_colours(scene.console):
        return text, "bold" if here else ""
    # By the root of the effect: one part, often the first MLP, is far above all others.
    share = min(abs(effect / effects.limit), 1.0) ** 0.5
    ground = mixed(theme.ground, theme.bar if effect > 0 else theme.negative, share)
    return text, f"{palette.reads_on(ground)} on {ground}" + (" bold" if here else "")


def _hint(width: int) -> Picture:
    made, theme = Picture(), palette.current()
    made.add((fitted("a click takes a part out · o the head, m the MLP · O puts all back", width), theme.quiet))
    return made


def _changed(scene: Scene, width: int) -> Picture:
    """The tokens whose probability changed most: before, and now."""
    made, theme, answer = Picture(), palette.current(), scene.answer
    if answer is None or answer.whole is None:
        return made
    before = {each.id: each.probability for each in answer.whole.candidates + answer.whole.watched}
    now = {each.id: each for each in answer.distribution.candidates + answer.distribution.watched}
    rows = sorted(now.values(), key=lambda each: -abs(each.probability - before.get(each.id, 0.0)))[: _CHANGED - 1]
    made.add((fitted("changed most", 16), theme.quiet), (f"{'whole':>9}{'now':>9}", theme.quiet))
    for each in rows:
        old = before.get(each.id, 0.0)
        look = theme.bar if each.probability > old else theme.negative
        made.add(
            (fitted(token_text(each.token), 16), theme.ink),
            (f"{percent(old):>9}", theme.quiet),
            (f"{percent(each.probability):>9}", f"bold {look}"),
        )
    for drawn in made.lines:
        drawn.fit(width)
    return made
