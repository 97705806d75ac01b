"""The whole screen: where everything stands at any size."""

from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from gptcli.explore import keys
from gptcli.explore.line import Line, Look
from gptcli.explore.picture import Picture, fitted
from gptcli.explore.views import VIEWS, following, text
from gptcli.explore.views.scene import Scene, View
from gptcli.show.blocks import palette
from gptcli.show.blocks.heat import has_colours

# Below this nothing can be read.
_LEAST_WIDTH, _LEAST_HEIGHT = 24, 8
# From this width on, the distribution and the view stand side by side; and the share of the first one.
_SIDE_BY_SIDE, _SHARE = 72, 0.4
_MOST_FOLLOWING = 56
_GAP = 2
_LEGEND = 35  # columns of the legend of the colours


@dataclass(frozen=True)
class Shown:
    """What is on the board besides the scene.

    Attributes:
        name: of the model.
        facts: a few words about it.
        found: what the view computed, maybe for an earlier text.
        late: whether the text's answer is late.
        view_late: whether the view's is.
        message: for the last line; "" for none.
        problem: what went wrong in the view; "" where nothing did.
    """

    name: str
    facts: str
    found: Any = None
    late: bool = False
    view_late: bool = False
    message: str = ""
    problem: str = ""


def draw(scene: Scene, shown: Shown, width: int, height: int) -> Picture:
    """The screen, in exactly so many lines."""
    made = Picture()
    if width < _LEAST_WIDTH or height < _LEAST_HEIGHT:
        made.add(("gptcli explore needs more space"[:width], ""))
        made.lines = made.lines[:height]
        return made
    made.below(_header(scene, shown, width))
    inner = width - 2
    room = max(min(text.lines_needed(scene, inner), max(height // 4, 2)), 1)
    gaps = 1 if height >= 20 else 0
    made.below(_space(gaps))
    words = text.draw(scene, inner, room, shown.late)
    made.below(_indented(words, room))
    made.below(_space(gaps))
    made.below(_indented(_fact(scene, inner), 1))
    made.below(_space(1 if height >= 30 else 0))
    footer = _footer(scene, shown, width)
    body = height - len(made.lines) - len(footer.lines)
    made.below(_body(scene, shown, inner, body))
    made.lines = made.lines[: height - len(footer.lines)]
    while len(made.lines) < height - len(footer.lines):
        made.add()
    made.below(footer)
    return made


def _header(scene: Scene, shown: Shown, width: int) -> Picture:
    theme = palette.current()
    count, most = len(scene.state.document.now.ids), scene.config.n_positions
    left = Line((" explore ", f"bold {theme.ground} on {theme.accent}"), (f" {shown.name} ", f"bold {theme.ink}"))
    left.append(shown.facts, theme.quiet)
    right = f"{'… ' if shown.late or shown.view_late else ''}{count:,} of {most:,} tokens "
    left.fit(max(width - cell_len(right) - 1, 0), ellipsis=True, pad=True)
    left.append(" " + right, theme.warning if count > most else theme.quiet)
    return Picture([left.fit(width, pad=True).on(f"on {theme.raised}")])


def _fact(scene: Scene, width: int) -> Picture:
    """The token under the cursor, and on the right the legend of the colours."""
    made = following.fact(scene, width)
    if not has_colours(scene.console) or made.lines[0].width + _LEGEND > width:
        return made
    theme = palette.current()
    made.lines[0].fit(width - _LEGEND, pad=True)
    made.put(("surprisal ", theme.quiet))
    for bits in range(0, int(text.MOST_BITS) + 1, 4):
        made.put((f" {bits:>2} ", palette.on_scale(bits / text.MOST_BITS)))
    made.put((" bits", theme.quiet))
    return made


def _body(scene: Scene, shown: Shown, width: int, height: int) -> Picture:
    """The distribution and the view: side by side, or the distribution above with fewer rows."""
    if height < 3:
        return Picture()
    if width >= _SIDE_BY_SIDE:
        left_width = min(int(width * _SHARE), _MOST_FOLLOWING)
        left = _following(scene, shown, left_width, height)
        right = _view(scene, shown, width - left_width - _GAP - 1, height)
        theme = palette.current()
        rule = Picture([Line(("│", theme.line)) for _ in range(height)])
        whole = left.next_to(rule, left_width + 1).next_to(right, left_width + _GAP + 1)
        return _indented(whole, height)
    upper = max(height * 2 // 5, 3)
    made = _following(scene, shown, width, upper)
    while len(made.lines) < upper:
        made.add()
    made.lines = made.lines[:upper]
    made.below(_view(scene, shown, width, height - upper))
    return _indented(made, height)


def _following(scene: Scene, shown: Shown, width: int, height: int) -> Picture:
    made = Picture()
    heading = Line(*following.heading(scene, width))
    made.lines.append(heading.fit(width, ellipsis=True))
    below = following.draw(scene, width, height - 1)
    made.below(_dimmed(below) if shown.late else below)
    return made


def _view(scene: Scene, shown: Shown, width: int, height: int) -> Picture:
    made, theme = Picture(), palette.current()
    view = next(each for each in VIEWS if each.name == scene.state.view)
    made.add()
    titles = sum(len(each.title) + 1 for each in VIEWS)
    roomy, letters = titles + len(VIEWS) <= width, titles > width
    for each in VIEWS:
        if letters and each is not view:
            made.put((each.key, f"bold underline {theme.ink}"), (" ", ""), action=("view", each.name))
        else:
            made.put(*_tab(each, chosen=each is view, roomy=roomy), action=("view", each.name))
    made.lines[0].fit(width)
    if height < 2:
        return made
    where = Line(
        (f"layer {scene.state.layer + 1}", f"bold {theme.ink}"), (f" of {scene.config.n_layer} ↑↓   ", theme.quiet)
    )
    where.append(f"head {scene.state.head + 1}", f"bold {theme.ink}").append(
        f" of {scene.state.n_head} h H", theme.quiet
    )
    made.lines.append(where.fit(width))
    if shown.problem:
        made.add((fitted(shown.problem.split("\n")[0], width), theme.warning))
        return made
    if shown.found is None and view.wants(scene) is not None:
        made.add(("…", theme.quiet))
        return made
    below = view.draw(scene, shown.found, width, height - 2)
    for drawn in below.lines:
        drawn.fit(width)
    made.below(_dimmed(below) if shown.view_late else below)
    return made


def _tab(view: View, *, chosen: bool, roomy: bool) -> "list[tuple[str, Look]]":
    """A tab's title, in which the key that opens it stands out."""
    theme = palette.current()
    before, key, behind = view.title.partition(view.key)
    if chosen:
        look = f"{theme.ground} on {theme.accent}"
        return [(" " * roomy + before, look), (key, f"bold underline {look}"), (f"{behind} ", look)]
    return [
        (" " * roomy + before, theme.quiet),
        (key, f"bold underline {theme.ink}"),
        (f"{behind} ", theme.quiet),
    ]


def _footer(scene: Scene, shown: Shown, width: int) -> Picture:
    """What the keys do, or a message."""
    made, theme = Picture(), palette.current()
    table = keys.EDITING if scene.state.editing else keys.WALKING
    mode = " TYPE " if scene.state.editing else " RUN " if scene.state.running else " KEYS "
    look = f"bold {theme.ground} on {theme.bar if scene.state.editing or scene.state.running else theme.quiet}"
    if shown.message:
        made.add((mode, look), " ", (fitted(shown.message, max(width - len(mode) - 1, 0)), f"bold {theme.ink}"))
        return made
    made.add((mode, look))
    for key in table:
        shown_key = key.shown.split(",")[0]
        if key.brief and made.lines[0].width + len(shown_key) + len(key.brief) + 3 <= width:
            made.put((" ", ""))
            pieces: list[tuple[str, Look]] = [(f" {shown_key}", f"bold {theme.ink}"), (f" {key.brief}", theme.quiet)]
            made.put(*pieces, action=key.action)
    return made


def _space(lines: int) -> Picture:
    return Picture([Line() for _ in range(lines)])


def _indented(picture: Picture, lines: int) -> Picture:
    """One column to the right, in exactly so many lines."""
    made = Picture([Line() for _ in range(lines)]).next_to(Picture(), 1)
    moved = made.next_to(Picture(picture.lines[:lines], picture.spots), 1)
    return moved


def _dimmed(picture: Picture) -> Picture:
    """The same as it looks when it is late."""
    for each in picture.lines:
        each.dimmed()
    return picture
