"""The page of one text, and saving it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gptcli.show.explore_page.data import page_data
from gptcli.show.html.page import Page
from gptcli.show.html.parts import Explorer
from gptcli.show.terminal.colours import asked_theme
from gptcli.system.whole_file import write_whole

if TYPE_CHECKING:
    from gptcli.inspection.explored import Explored
    from gptcli.sampling.settings import Sampling


class LiveModel(Protocol):
    """A model that runs in a page."""

    @property
    def elements(self) -> str:
        """Elements of data."""

    @property
    def script(self) -> str:
        """Defines ``window.gptcliLive``."""


def explore_page(answer: "Explored", live: LiveModel | None = None, sampling: "Sampling | None" = None) -> Page:
    """A page with all views of a text that a model read.

    Args:
        answer: what the page shows.
        live: the model itself, which then runs in the page: the text can be edited there.
        sampling: where the sliders stand at first; None: nothing is changed or cut.
    """
    layers, heads = answer.pattern.shape[:2]
    facts = (f"{layers} layers of {heads} heads · {answer.n_vocab:,} tokens to choose from",)
    data = page_data(answer, sampling)
    part = Explorer(data) if live is None else Explorer(data, live.elements, live.script)
    return Page(f"Inside {answer.model}", facts, [part])


def save_page(
    answer: "Explored", path: Path, live: LiveModel | None = None, sampling: "Sampling | None" = None
) -> None:
    """Write the page of a text to a file, whole or not at all; see ``explore_page``.

    Raises:
        GptcliError: the file cannot be written.
    """
    write_whole(path, replace(explore_page(answer, live, sampling), theme=asked_theme()).html())


@dataclass(frozen=True)
class Exploration:
    """A text as a model read it, for Python: a notebook shows its page, and ``save`` writes it.

    Attributes:
        answer: the numbers.
    """

    answer: "Explored"

    def save(self, path: str | Path) -> None:
        """Write the page, one file that needs nothing else.

        Raises:
            GptcliError: the file cannot be written.
        """
        save_page(self.answer, Path(path))

    def _repr_html_(self) -> str:
        from gptcli.show.notebook import framed

        return framed(explore_page(self.answer))

    def __repr__(self) -> str:
        return f"<{self.answer.model} reading {len(self.answer.ids):,} tokens: save('page.html') writes the page>"
