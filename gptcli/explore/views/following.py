"""What may follow the token under the cursor: bars on one scale, and what came."""

from math import isclose

from rich.cells import cell_len

from gptcli.explore.line import Line
from gptcli.explore.picture import Picture, fitted, joined
from gptcli.explore.state import parts_told
from gptcli.explore.views.scene import Scene
from gptcli.probability.distribution import Candidate, Distribution
from gptcli.show.blocks import palette
from gptcli.show.blocks.figures import percent
from gptcli.show.blocks.heat import has_colours
from gptcli.show.blocks.pictures import bar
from gptcli.text import token_text

# What a full bar stands for: the least of these that holds the largest probability.
_SCALES = (0.05, 0.1, 0.25, 0.5, 1.0)
_LONGEST = 18  # columns of a token
_RANK = 3


def draw(scene: Scene, width: int, height: int) -> Picture:
    """A heading, a row for each candidate, and what the settings do to all."""
    made = Picture()
    answer = scene.answer
    if answer is None:
        return made
    shown = answer.distribution
    before = answer.whole
    raw = {each.id: each.model_probability for each in shown.candidates + shown.watched}
    if before is not None:
        raw = {each.id: each.probability for each in before.candidates + before.watched}
    scale = _scale(shown, raw)
    came = shown.watched[0] if shown.watched else None
    rows = _rows(shown, came, max(height - 2, 1))
    figures = [percent(each.probability) for each in rows]
    token = max([min(max(cell_len(token_text(each.token)) for each in rows), _LONGEST), 4])
    figure = max(map(len, [*figures, *(each.cut_by or "" for each in rows)]))
    length = max(width - _RANK - token - figure - 3, 0)
    coloured = has_colours(scene.console)
    for each, said in zip(rows, figures, strict=True):
        _row(made, each, said, (token, figure, length), scale, raw.get(each.id, 0.0), came, coloured)
    left = height - len(made.lines)
    if left > 0:
        made.add((fitted(_rest(shown, rows), width), palette.current().quiet))
    if left > 1:
        made.add((joined(_said(shown, scale), width - 3, before="   "), palette.current().quiet))
    return made


def heading(scene: Scene, width: int) -> "list[tuple[str, str]]":
    """The settings, which the keys turn."""
    theme = palette.current()
    sampling = scene.state.sampling
    settings = [
        ("T" if width < 44 else "temperature", f"{sampling.temperature:g}", not isclose(sampling.temperature, 1)),
        ("top-k", f"{sampling.top_k}" if sampling.top_k else "off", sampling.top_k > 0),
        ("top-p", f"{sampling.top_p:g}" if sampling.top_p < 1 else "off", sampling.top_p < 1),
    ]
    made: list[tuple[str, str]] = []
    for name, value, on in settings:
        made += [(f"{name} ", theme.quiet), (value, f"bold {theme.accent}" if on else f"bold {theme.ink}"), ("  ", "")]
    return made[:-1]


def fact(scene: Scene, width: int) -> Picture:
    """One line about the token under the cursor: how expected it was, and what came after it."""
    theme, made, answer = palette.current(), Picture(), scene.answer
    now = scene.state.document.now
    if now.error:
        made.add((fitted(now.error.split("\n")[0], width), theme.warning))
        return made
    if answer is None or not scene.ids:
        made.add()
        return made
    cursor = scene.cursor
    own = answer.reading.came[cursor] if cursor < len(answer.reading.came) else None
    token = token_text(scene.tokens([scene.ids[cursor]])[0])
    said = Line((f"{cursor + 1} ", theme.quiet), (token, f"bold {theme.ink}"))
    if own is not None:
        said.append(f"  expected with {percent(2.0**-own.bits)}, {own.bits:.1f} bits, rank {own.rank:,}", theme.quiet)
    elif cursor == 0:
        said.append("  the first token: nothing said what to expect", theme.quiet)
    if scene.state.out:
        said.append(f"  without {parts_told(scene.state.out)}", theme.warning)
    said.fit(width, ellipsis=True)
    made.lines.append(said)
    return made


def _rows(shown: Distribution, came: Candidate | None, most: int) -> list[Candidate]:
    """The first candidates; the one that came is among them, last where it is far down."""
    rows = shown.candidates[:most]
    if came is not None and came.id not in [each.id for each in rows]:
        rows = [*rows[: most - 1], came]
    return rows


def _row(
    made: Picture,
    each: Candidate,
    figure: str,
    widths: tuple[int, int, int],
    scale: float,
    raw: float,
    came: Candidate | None,
    coloured: bool,
) -> None:
    theme = palette.current()
    token_width, figure_width, length = widths
    is_came = came is not None and came.id == each.id
    cut = each.cut_by if each.cut_by != "greedy" else None
    number = f"{each.rank}" if each.rank < 100 else "…"
    look = f"bold {theme.accent}" if is_came else theme.quiet if each.cut_by else theme.ink
    name = fitted(token_text(each.token), token_width)
    filled = bar(each.probability / scale, length)
    ghost = "╌" * max(round(min(raw / scale, 1.0) * length) - len(filled), 0)
    over = len(filled) - round(min(raw / scale, 1.0) * length)
    made.add(
        (f"{number:>2}", f"bold {theme.ink}" if each.rank <= 9 else theme.quiet),
        ("▸" if is_came else " ", theme.accent),
        (name, look),
        " ",
        (f"{cut or figure:>{figure_width}}", theme.quiet if cut else theme.ink),
        " ",
        (filled, (theme.accent if is_came else theme.bar) if coloured else ""),
        (ghost if over < 0 else "", theme.quiet),
    )
    made.spot(0, _RANK + token_width + figure_width + length + 3, "take", each.id)


def _scale(shown: Distribution, raw: "dict[int, float]") -> float:
    largest = max([*raw.values(), *(each.probability for each in shown.candidates)])
    return next((scale for scale in _SCALES if scale >= largest), 1.0)


def _rest(shown: Distribution, rows: list[Candidate]) -> str:
    more = shown.rest.count + len(shown.candidates) - sum(each in shown.candidates for each in rows)
    others = max(1.0 - sum(each.probability for each in rows), 0.0)
    return f"   {more:,} more {percent(others)}"


def _said(shown: Distribution, scale: float) -> list[str]:
    if shown.temperature == 0:
        return ["always the best", f"full bar {scale:.0%}"]
    count = 2.0**shown.entropy_bits
    undecided = f"{count:.1f}" if count < 9.95 else f"{count:,.0f}"
    return [f"like {undecided} equal choices", f"full bar {scale:.0%}"]
