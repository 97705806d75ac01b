"""What is chosen on the screen: the layer and head, the sampling, the parts that are out, the view."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gptcli.explore.document import Document
from gptcli.sampling.settings import Sampling

Part = tuple[int, int | None]
"""A layer (from 0) and one of its heads (from 0), or None for its MLP."""

# What the keys step through; temperature 0 always takes the best token.
TEMPERATURES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 5.0)
TOP_KS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 100, 200, 500, 1000, 0)  # 0: off
TOP_PS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0)  # 1: off


@dataclass
class State:
    """Everything that the pictures depend on, apart from what the model computes.

    Attributes:
        document: the text.
        n_layer, n_head: of the model.
        sampling: temperature, top-k and top-p.
        view: the name of the view.
        layer, head: from 0.
        out: the parts that are taken out.
        editing: whether keys type; else they act.
        running: whether tokens are drawn until that is stopped.
    """

    document: Document
    n_layer: int
    n_head: int
    sampling: Sampling = field(default_factory=Sampling)
    view: str = "attention"
    layer: int = 0
    head: int = 0
    out: frozenset[Part] = frozenset()
    editing: bool = False
    running: bool = False

    @property
    def cursor(self) -> int:
        """The token that is looked at."""
        return self.document.now.cursor

    def choose_layer(self, layer: int) -> None:
        """Go to a layer, from 0; beyond the last one it stays there."""
        self.layer = min(max(layer, 0), max(self.n_layer - 1, 0))

    def choose_head(self, head: int) -> None:
        """Go to a head, from 0; behind the last one comes the first."""
        self.head = head % max(self.n_head, 1)

    def toggle(self, part: Part) -> None:
        """Take a part out, or put it back."""
        self.out = self.out ^ {part}

    def warmer(self, steps: int) -> None:
        """Raise or lower the temperature."""
        self._step("temperature", TEMPERATURES, steps, lambda value: value)

    def more_candidates(self, steps: int) -> None:
        """Raise or lower top-k; off comes after the largest."""
        self._step("top_k", TOP_KS, steps, lambda value: value or float("inf"))

    def more_probability(self, steps: int) -> None:
        """Raise or lower top-p."""
        self._step("top_p", TOP_PS, steps, lambda value: value)

    def _step(self, name: str, values: tuple[float, ...], steps: int, order: Callable[[float], float]) -> None:
        """Go to the next value above or below, whatever the present one is."""
        now = order(getattr(self.sampling, name))
        beyond = [value for value in values if (order(value) > now if steps > 0 else order(value) < now)]
        if beyond:
            self.sampling = self.sampling.changed(**{name: beyond[0] if steps > 0 else beyond[-1]})


def part_name(part: Part) -> str:
    """A part as ``--without`` takes it: ``4.1``, ``mlp:3``."""
    layer, head = part
    return f"mlp:{layer + 1}" if head is None else f"{layer + 1}.{head + 1}"


def parts_told(out: frozenset[Part], most: int = 6) -> str:
    """The parts that are out, in order."""
    names = [part_name(part) for part in sorted(out, key=lambda part: (part[0], -1 if part[1] is None else part[1]))]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
