"""The whole screen: where everything stands at any size."""

from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from gptcli.explore import keys
from gptcli.explore.picture import Action, Picture, choices, fitted, line
from gptcli.explore.views import VIEWS, following, text
from gptcli.explore.views.scene import Scene
from gptcli.show.blocks import palette

# Below this nothing can be read.
_LEAST_WIDTH, _LEAST_HEIGHT = 24, 8
# From this width on, the distribution and the view stand side by side; and the share of the first one.
_SIDE_BY_SIDE, _SHARE = 72, 0.4
_MOST_FOLLOWING = 56
_GAP = 2


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
    made.below(_indented(following.fact(scene, inner), 1))
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
    left = line((" explore ", f"bold {theme.ground} on {theme.accent}"), (f" {shown.name} ", f"bold {theme.ink}"))
    left.append(shown.facts, theme.quiet)
    right = f"{'… ' if shown.late or shown.view_late else ''}{count:,} of {most:,} tokens "
    left.truncate(max(width - cell_len(right) - 1, 0), overflow="ellipsis", pad=True)
    left.append(" " + right, theme.warning if count > most else theme.quiet)
    left.truncate(width, pad=True)
    left.stylize_before(f"on {theme.raised}")
    return Picture([left])


def _body(scene: Scene, shown: Shown, width: int, height: int) -> Picture:
    """The distribution and the view: side by side, or the distribution above with fewer rows."""
    if height < 3:
        return Picture()
    if width >= _SIDE_BY_SIDE:
        left_width = min(int(width * _SHARE), _MOST_FOLLOWING)
        left = _following(scene, shown, left_width, height)
        right = _view(scene, shown, width - left_width - _GAP - 1, height)
        theme = palette.current()
        rule = Picture([line(("│", theme.line)) for _ in range(height)])
        whole = left.beside(rule, left_width + 1).beside(right, left_width + _GAP + 1)
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
    heading = line(*following.heading(scene))
    heading.truncate(width, overflow="ellipsis")
    made.lines.append(heading)
    below = following.draw(scene, width, height - 1)
    made.below(_dimmed(below) if shown.late else below)
    return made


def _view(scene: Scene, shown: Shown, width: int, height: int) -> Picture:
    made, theme = Picture(), palette.current()
    view = next(each for each in VIEWS if each.name == scene.state.view)
    options: list[tuple[str, str, Action]] = []
    for each in VIEWS:
        look = f"bold {theme.ground} on {theme.accent}" if each is view else theme.quiet
        options.append(
            (
                f" {each.key} {each.title} " if each.key != each.title[0] else f" {each.title} ",
                look,
                ("view", each.name),
            )
        )
    choices(made, options, gap=0)
    made.lines[0].truncate(width)
    for start, key in _key_places(options):
        if start < width and scene.state.view != key[1]:
            made.lines[0].stylize(f"bold {theme.ink}", start + 1, start + 2)
    if height < 2:
        return made
    where = line(
        (f"layer {scene.state.layer + 1}", f"bold {theme.ink}"), (f" of {scene.config.n_layer} ↑↓   ", theme.quiet)
    )
    where.append(f"head {scene.state.head + 1}", f"bold {theme.ink}").append(
        f" of {scene.state.n_head} h H", theme.quiet
    )
    where.truncate(width)
    made.lines.append(where)
    if shown.problem:
        made.add((fitted(shown.problem.split("\n")[0], width), theme.warning))
        return made
    if shown.found is None and view.wants(scene) is not None:
        made.add(("…", theme.quiet))
        return made
    below = view.draw(scene, shown.found, width, height - 2)
    for drawn in below.lines:
        drawn.truncate(width)
    made.below(_dimmed(below) if shown.view_late else below)
    return made


def _key_places(options: "list[tuple[str, str, Action]]") -> "list[tuple[int, tuple[object, ...]]]":
    places, column = [], 0
    for label, _, action in options:
        places.append((column, action))
        column += cell_len(label)
    return places


def _footer(scene: Scene, shown: Shown, width: int) -> Picture:
    """What the keys do, or a message."""
    made, theme = Picture(), palette.current()
    table = keys.EDITING if scene.state.editing else keys.WALKING
    mode = " TYPE " if scene.state.editing else " RUN " if scene.state.running else " KEYS "
    look = f"bold {theme.ground} on {theme.bar if scene.state.editing or scene.state.running else theme.quiet}"
    if shown.message:
        made.add((mode, look), " ", (fitted(shown.message, max(width - len(mode) - 1, 0)), f"bold {theme.ink}"))
        return made
    start: list[tuple[str, str]] = [(mode, look), (" ", "")]
    used, listed = len(mode) + 1, []
    for key in table:
        label = f"{key.shown.split(',')[0]} {key.brief}"
        if key.brief and used + len(label) + 2 <= width:
            listed.append((label, theme.quiet, key.action))
            used += len(label) + 2
    choices(made, listed, start=start)
    column = sum(len(part) for part, _ in start)
    for label, _, _ in listed:
        made.lines[0].stylize(f"bold {theme.ink}", column, column + label.index(" "))
        column += len(label) + 2
    return made


def _space(lines: int) -> Picture:
    return Picture([line() for _ in range(lines)])


def _indented(picture: Picture, lines: int) -> Picture:
    """One column to the right, in exactly so many lines."""
    made = Picture([line() for _ in range(lines)]).beside(Picture(), 1)
    moved = made.beside(Picture(picture.lines[:lines], picture.spots), 1)
    return moved


def _dimmed(picture: Picture) -> Picture:
    """The same as it looks when it is late."""
    for each in picture.lines:
        each.stylize("dim")
    return picture
