"""The neurons that are most active at the cursor, in the layer that is chosen."""

from typing import Any

from gptcli.explore.inside import Active, Inside
from gptcli.explore.picture import Picture, drawn, fitted
from gptcli.explore.views.scene import Scene
from gptcli.show.blocks import palette


class NeuronsView:
    """See the module."""

    name, key, title, stop = "neurons", "n", "neurons", "Ask the neurons"

    def wants(self, scene: Scene) -> Any:
        """The neurons of a layer, after the text up to the cursor."""
        if not scene.ids or not scene.config.n_layer:
            return None
        return scene.ids[: scene.cursor + 1], scene.state.layer

    def compute(self, inside: Inside, wanted: Any) -> Active | str:
        """See ``Inside.neurons``."""
        return inside.neurons(*wanted)

    def draw(self, scene: Scene, found: Any, width: int, height: int) -> Picture:
        """A row for each neuron: how active it is, and the tokens that it raises."""
        made, theme = Picture(), palette.current()
        if isinstance(found, str):
            made.add((fitted(found, width), theme.quiet))
            return made
        if not isinstance(found, Active):
            return made
        from gptcli.show.neurons import NeuronTable

        made.add((fitted("those that write most beyond what they usually write here", width), theme.quiet))
        made.below(drawn(scene.console, NeuronTable(found.neurons), width, height - 1))
        return made
