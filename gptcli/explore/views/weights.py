"""The parameters of the layer that is chosen: each matrix with its shape, what it does, and how many numbers it has."""

from math import prod
from typing import Any

from gptcli.explore.inside import Inside
from gptcli.explore.picture import Picture, fitted
from gptcli.explore.views.scene import Scene
from gptcli.model.shapes import parameter_shapes
from gptcli.show.blocks import palette
from gptcli.show.blocks.pictures import bar

_SAYS = {
    "ln_1": "norm before attention",
    "attn.c_attn": "makes query, key and value",
    "attn.c_proj": "output: heads back into the stream",
    "ln_2": "norm before the MLP",
    "mlp.c_fc": "up: one row for each neuron",
    "mlp.c_gate": "gate of each neuron",
    "mlp.c_proj": "down: what each neuron writes",
    "wte": "token embedding",
    "wpe": "position embedding",
    "ln_f": "last norm",
    "lm_head": "unembedding",
}


class WeightsView:
    """See the module."""

    name, key, title, stop = "weights", "w", "weights", "Where 175 billion parameters live"

    def wants(self, scene: Scene) -> Any:
        """Nothing: the shapes are known."""
        return None

    def compute(self, inside: Inside, wanted: Any) -> Any:
        """Nothing."""
        return None

    def draw(self, scene: Scene, found: Any, width: int, height: int) -> Picture:
        """A row for each tensor of the layer, and below it what all of the model has."""
        made, theme = Picture(), palette.current()
        shapes = parameter_shapes(scene.config)
        prefix = f"h.{scene.state.layer}."
        inside = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
        outside = {name: shape for name, shape in shapes.items() if not name.startswith("h.")}
        total = sum(map(prod, shapes.values()))
        own = sum(map(prod, inside.values()))
        title = f"layer {scene.state.layer + 1} of {scene.config.n_layer}: {own:,} of {total:,} parameters"
        made.add((fitted(title, width), f"bold {theme.ink}"))
        largest = max([*map(prod, inside.values()), 1])
        for name, shape in inside.items():
            _row(made, name, shape, largest, width)
        made.add(("outside of the layers", f"bold {theme.ink}"))
        for name, shape in outside.items():
            _row(made, name, shape, max([*map(prod, outside.values()), 1]), width)
        made.lines = made.lines[:height]
        return made


def _row(made: Picture, name: str, shape: tuple[int, ...], largest: int, width: int) -> None:
    theme, count = palette.current(), prod(shape)
    said = _SAYS.get(name.rpartition(".")[0], "") if name.endswith("weight") else ""
    size = " × ".join(f"{each:,}" for each in shape)
    wide = width >= 90
    made.add(
        (fitted(name, 20), theme.ink),
        (f"{size:>14}", theme.ink),
        (f"{count:>12,}  ", theme.quiet),
        (fitted(said, 36) if wide else "", theme.quiet),
        (bar(count / largest, max(width - 48 - 36 * wide, 0)), theme.bar),
    )
