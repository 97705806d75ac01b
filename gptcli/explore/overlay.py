"""What is shown over the board: all keys, and the tour's words."""

from gptcli.explore import keys
from gptcli.explore.picture import Picture, fitted, wrapped
from gptcli.explore.views import VIEWS
from gptcli.show.blocks import palette
from gptcli.show.tour import Stop

_KEY = 12  # columns of a key
_WIDEST = 76


def help_lines(width: int, height: int) -> Picture:
    """All keys, in one column or two."""
    theme = palette.current()
    left, right = Picture(), Picture()
    half = width // 2 - 1 if width >= 100 else width
    _table(left, "KEYS act on the text and the model", keys.WALKING, half)
    _views(right, half)
    _table(right, "TYPE: keys type into the text", keys.EDITING, half)
    right.add()
    right.below(
        wrapped(
            "A click on a word, a candidate, a head or a tab does what its key does. The colour of a token is its "
            "surprisal: how little the model expected it.",
            half - 2,
            theme.quiet,
        )
    )
    made = left.next_to(right, half + 1) if width >= 100 else left
    if width < 100:
        made.add()
        made.below(right)
    return made


def _table(made: Picture, title: str, table: tuple[keys.Key, ...], width: int) -> None:
    theme = palette.current()
    made.add((f" {title}", f"bold {theme.accent}"))
    said = set()
    for key in table:
        if key.shown and key.shown not in said:
            said.add(key.shown)
            made.add(
                (f" {fitted(key.shown, _KEY)}", f"bold {theme.ink}"), (fitted(key.says, width - _KEY - 2), theme.ink)
            )


def _views(made: Picture, width: int) -> None:
    theme = palette.current()
    made.add((" Tabs", f"bold {theme.accent}"))
    for view in VIEWS:
        made.add((f" {fitted(view.key, _KEY)}", f"bold {theme.ink}"), (fitted(view.title, width - _KEY - 2), theme.ink))
    made.add()


def tour_lines(stop: Stop, width: int) -> Picture:
    """A stop of the tour: its words, its question, and the command that shows more."""
    theme, made = palette.current(), Picture()
    room = min(width - 4, _WIDEST)
    made.add((f"{stop.title}", f"bold {theme.accent}"))
    made.add()
    for text, style in ((stop.text, theme.ink), (stop.question, theme.bar), (stop.answer, theme.quiet)):
        if text:
            made.below(Picture([*wrapped(text, room, style).lines]))
            made.add()
    made.below(wrapped(f"Stop {stop.number} of gptcli tour: {stop.command}", room, theme.quiet))
    around = Picture()
    around.add()
    around.below(Picture().next_to(made, 2))
    return around
