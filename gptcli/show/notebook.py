"""Results as notebooks show them: tables typeset as on a page, and pages that answer to the pointer in a frame."""

import hashlib
from collections.abc import Callable
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

from gptcli.show.changed import page_with_changes, with_changes
from gptcli.show.html.page import Page, drawn_fragment
from gptcli.show.terminal.encoding import everything
from gptcli.show.terminal.json_pieces import json_pieces

if TYPE_CHECKING:
    from rich.console import RenderableType

_COLUMNS = 100  # of a result that is printed
_LISTED = 20  # rows of a list of which a command shows so many


def json(result: Any, indent: int | None) -> str:
    """What ``--json`` prints, without the newline at its end."""
    return "".join(json_pieces(result, indent=indent)).removesuffix("\n")


def html(result: Any) -> str | None:
    """A page in a frame, or a typeset picture; None where there is no picture."""
    with everything():
        if (page := page_of(result)) is not None:
            return framed(page)
        draw = picture_of(result)
        return None if draw is None else drawn_fragment(lambda: draw(result))


def text(result: Any) -> str | None:
    """What the terminal shows, without colours; None where there is no picture."""
    from rich.console import Console

    draw = picture_of(result)
    if draw is None:
        return None
    console = Console(
        file=StringIO(),
        width=_COLUMNS,
        color_system=None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    with console.capture() as captured:
        console.print(draw(result))
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


def rows(result: Any) -> list[dict[str, Any]]:
    """The table: a dict for each row.

    Raises:
        InputError: the result has no table.
    """
    from gptcli.system.answer import rows_of

    return list(rows_of(result))


def picture_of(result: Any) -> "Callable[[Any], RenderableType] | None":
    """What draws a result in the terminal."""
    found = _PICTURES.get(type(result).__name__)
    if found is None:
        return None
    draw = found()
    return lambda answer: with_changes(answer, lambda: draw(answer))()


def page_of(result: Any) -> Page | None:
    """The page of a result that has one of its own, which answers to the pointer."""
    found = _PAGES.get(type(result).__name__)
    made = page_with_changes(result, None if found is None else lambda: found()(result))
    return None if made is None else made()


def framed(page: Page) -> str:
    """A page in a frame of its own: its style and script reach nothing outside, and nothing outside reaches them."""
    whole = page.html()
    name = "gptcli-" + hashlib.sha256(whole.encode()).hexdigest()[:12]
    style = "box-sizing:border-box;width:100%;height:38rem;border:1px solid #8888;border-radius:6px"
    return (
        f'<iframe id="{name}" sandbox="allow-scripts" style="{style}" title="{escape(page.title)}" '
        f'srcdoc="{escape(whole, quote=True)}"></iframe>'
    )


def _next_token() -> "Callable[[Any], RenderableType]":
    from gptcli.show.logits import draw_next

    return draw_next


def _positions() -> "Callable[[Any], RenderableType]":
    from gptcli.show.logits import draw_positions

    return draw_positions


def _score() -> "Callable[[Any], RenderableType]":
    from gptcli.show.score import draw

    return lambda result: draw(result, _LISTED)


def _attention() -> "Callable[[Any], RenderableType]":
    from gptcli.show.attention import draw

    return draw


def _lens() -> "Callable[[Any], RenderableType]":
    from gptcli.show.attribution import draw as draw_attribution
    from gptcli.show.lens import draw

    return lambda result: draw(result, [draw_attribution(part, _LISTED) for part in result.attribution])


def _attribution() -> "Callable[[Any], RenderableType]":
    from gptcli.show.attribution import draw

    return lambda result: draw(result, _LISTED)


def _trace() -> "Callable[[Any], RenderableType]":
    from gptcli.show.trace import draw

    return draw


def _params() -> "Callable[[Any], RenderableType]":
    from gptcli.show.scoreboard import draw

    return draw


def _map() -> "Callable[[Any], RenderableType]":
    from gptcli.show.map import draw

    return draw


def _contexts() -> "Callable[[Any], RenderableType]":
    from gptcli.show.contexts import draw

    return draw


def _neighbors() -> "Callable[[Any], RenderableType]":
    from gptcli.show.vectors import draw_neighbors

    return draw_neighbors


def _similarities() -> "Callable[[Any], RenderableType]":
    from gptcli.show.vectors import draw_similarities

    return draw_similarities


def _direction() -> "Callable[[Any], RenderableType]":
    from gptcli.show.vectors import draw_direction

    return draw_direction


def _head() -> "Callable[[Any], RenderableType]":
    from gptcli.show.circuits import draw_head

    return draw_head


def _scan() -> "Callable[[Any], RenderableType]":
    from gptcli.show.circuits import draw_scan

    return draw_scan


def _neuron() -> "Callable[[Any], RenderableType]":
    from gptcli.show.neuron import draw_neuron

    return draw_neuron


def _neurons() -> "Callable[[Any], RenderableType]":
    from gptcli.show.neurons import draw

    return draw


def _passages() -> "Callable[[Any], RenderableType]":
    from gptcli.show.neuron import draw_passages

    return draw_passages


def _comparison() -> "Callable[[Any], RenderableType]":
    from gptcli.show.compare import draw

    return lambda result: draw(result, _LISTED)


def _ablation() -> "Callable[[Any], RenderableType]":
    from gptcli.show.ablation import draw

    return lambda result: draw(result, result.strongest(_LISTED))


def _patching() -> "Callable[[Any], RenderableType]":
    from gptcli.show.patching import draw

    return draw


def _ablation_page() -> Callable[[Any], Page]:
    from gptcli.show.ablation import draw_page

    return lambda result: draw_page(result, result.strongest(_LISTED))


def _patching_page() -> Callable[[Any], Page]:
    from gptcli.show.patching import draw_page

    return draw_page


def _head_page() -> Callable[[Any], Page]:
    from gptcli.show.circuits import draw_head_page

    return draw_head_page


def _scan_page() -> Callable[[Any], Page]:
    from gptcli.show.circuits import draw_scan_page

    return draw_scan_page


def _neuron_page() -> Callable[[Any], Page]:
    from gptcli.show.neuron import draw_neuron_page

    return draw_neuron_page


def _neurons_page() -> Callable[[Any], Page]:
    from gptcli.show.neurons import draw_page

    return draw_page


def _passages_page() -> Callable[[Any], Page]:
    from gptcli.show.neuron import draw_passages_page

    return draw_passages_page


def _comparison_page() -> Callable[[Any], Page]:
    from gptcli.show.compare import draw_page

    return lambda result: draw_page(result, _LISTED)


def _attention_page() -> Callable[[Any], Page]:
    from gptcli.show.attention_page import draw_page

    return draw_page


def _lens_page() -> Callable[[Any], Page]:
    from gptcli.show.lens import draw_page

    return lambda result: draw_page(result, result.attribution, _LISTED)


def _score_page() -> Callable[[Any], Page]:
    from gptcli.show.score import draw_page

    return lambda result: draw_page(result, _LISTED)


def _map_page() -> Callable[[Any], Page]:
    from gptcli.show.html.globe import globe

    return globe


# The pictures and the pages by the name of the result's class; imported when one is shown.
_PICTURES: "dict[str, Callable[[], Callable[[Any], RenderableType]]]" = {
    "NextToken": _next_token,
    "Positions": _positions,
    "Score": _score,
    "Attention": _attention,
    "Lens": _lens,
    "Attribution": _attribution,
    "Trace": _trace,
    "ParameterCount": _params,
    "WordMap": _map,
    "ContextSimilarities": _contexts,
    "Neighbors": _neighbors,
    "Analogy": _neighbors,
    "Similarities": _similarities,
    "Direction": _direction,
    "Ablation": _ablation,
    "Patching": _patching,
    "HeadView": _head,
    "HeadScan": _scan,
    "NeuronView": _neuron,
    "Neurons": _neurons,
    "NeuronPassages": _passages,
    "Comparison": _comparison,
}
_PAGES: dict[str, Callable[[], Callable[[Any], Page]]] = {
    "Attention": _attention_page,
    "Lens": _lens_page,
    "Score": _score_page,
    "WordMap": _map_page,
    "Ablation": _ablation_page,
    "Patching": _patching_page,
    "HeadView": _head_page,
    "HeadScan": _scan_page,
    "NeuronView": _neuron_page,
    "Neurons": _neurons_page,
    "NeuronPassages": _passages_page,
    "Comparison": _comparison_page,
}
