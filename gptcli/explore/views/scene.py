"""What every view sees, and what a view is."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gptcli.explore.answer import Answer
from gptcli.explore.inside import Inside
from gptcli.explore.picture import Picture
from gptcli.explore.state import State
from gptcli.model.config import GPTConfig
from gptcli.tokenizer import Tokenizer

if TYPE_CHECKING:
    from rich.console import Console


# Attention weights of all layers together; more are computed layer by layer.
_MOST_WEIGHTS = 10_500_000


@dataclass(frozen=True)
class Scene:
    """What is on the screen.

    Attributes:
        state: what is chosen.
        config: the model's shape.
        tokenizer: names the tokens.
        answer: the newest one, maybe of an earlier text; None before the first.
        console: for the pictures of ``show``.
    """

    state: State
    config: GPTConfig
    tokenizer: Tokenizer
    answer: Answer | None
    console: "Console"

    @property
    def ids(self) -> tuple[int, ...]:
        """The text, as much of it as the model reads."""
        return self.state.document.now.ids[: self.config.n_positions]

    @property
    def cursor(self) -> int:
        """The token that is looked at."""
        return min(self.state.cursor, max(len(self.ids) - 1, 0))

    @property
    def target(self) -> int | None:
        """The token whose prediction is looked at: the one that came, or else the most probable one."""
        if self.cursor + 1 < len(self.ids):
            return self.ids[self.cursor + 1]
        answer = self.answer
        if answer is None or answer.asked.ids != self.ids or answer.asked.cursor != self.cursor:
            return None
        return answer.distribution.candidates[0].id

    def every_layer(self, length: int) -> bool:
        """Whether the attention of all layers is small enough to be looked at together."""
        return self.config.n_layer * self.config.n_head * length**2 <= _MOST_WEIGHTS

    def tokens(self, ids: Sequence[int]) -> list[bytes]:
        """The bytes of some tokens."""
        return [self.tokenizer.token_bytes(token) for token in ids]


class View(Protocol):
    """A tab.

    Attributes:
        name: of it.
        key: that opens it, which is a letter of the title.
        title: on the tab.
        stop: the title of the tour's stop about it.
    """

    name: str
    key: str
    title: str
    stop: str

    def wants(self, scene: Scene) -> Hashable | None:
        """What has to be computed; None: nothing, or it cannot be said yet."""

    def compute(self, inside: Inside, wanted: Any) -> Any:
        """Compute it, in a thread."""

    def draw(self, scene: Scene, found: Any, width: int, height: int) -> Picture:
        """Draw it; ``found`` may be of an earlier text, or None."""


def window(count: int, at: int, most: int) -> range:
    """Which of ``count`` things to show where there is space for ``most``, so that one is seen with its past."""
    if count <= most:
        return range(count)
    end = min(max(at + 1 + most // 4, most), count)
    return range(end - most, end)
