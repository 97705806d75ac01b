"""What each part of the model adds to the logit of the token that comes next."""

from typing import Any

from gptcli.explore.inside import Adds, Inside
from gptcli.explore.picture import Picture, drawn
from gptcli.explore.views.scene import Scene

# Lines besides the largest parts: their heading, the rest, the sum, and the sentence about norms.
_AROUND = 7


class AddsView:
    """See the module."""

    name, key, title, stop = "adds", "d", "adds", "Where it makes up its mind"

    def wants(self, scene: Scene) -> Any:
        """The terms of the logit of the token that came, or of the best one."""
        target = scene.target
        if target is None or not scene.config.n_layer:
            return None
        return scene.ids[: scene.cursor + 1], scene.state.out, target

    def compute(self, inside: Inside, wanted: Any) -> Adds:
        """See ``Inside.adds``."""
        return inside.adds(*wanted)

    def draw(self, scene: Scene, found: Any, width: int, height: int) -> Picture:
        """The largest parts as bars, and what each head adds as a map."""
        if not isinstance(found, Adds):
            return Picture()
        from gptcli.show.attribution import draw

        heads = len(found.attribution.heads()) + 3
        top = max(height - _AROUND - (heads if height >= heads + 2 * _AROUND else 0), 1)
        return drawn(scene.console, draw(found.attribution, top), width, height)
