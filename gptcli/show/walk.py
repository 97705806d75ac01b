"""``gptcli tour`` on a terminal: each stop on a screen of its own, and keys that lead on, back, elsewhere and aside."""

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass, field, replace
from time import sleep
from typing import TYPE_CHECKING

from gptcli.errors import GptcliError
from gptcli.show.blocks import palette
from gptcli.show.terminal.console import stdout_console
from gptcli.show.terminal.keyboard import keyboard, typed_ahead
from gptcli.show.terminal.watching import Messages, answers_kept, recorded
from gptcli.show.tour import LIVE, Stop, announce, conclude, farewell
from gptcli.system.notices import notice

if TYPE_CHECKING:
    from collections.abc import Iterator

Action = str | int
_ACTIONS: dict[str, Action] = {
    # \x1b[C and \x1b[D are the right and the left arrow, for which keyboard has no name.
    **dict.fromkeys(("enter", " ", "n", "down", "\x1b[C"), "next"),
    **dict.fromkeys(("b", "p", "backspace", "up", "\x1b[D"), "back"),
    **dict.fromkeys(("q", "Q", "escape"), "leave"),
    **dict.fromkeys(("e", "t"), "edit"),
    **dict.fromkeys(("?", "h", "l"), "help"),
    "r": "again",
}
# Seconds to wait for a key at a time.
_WAIT_S = 3600.0
_LEAST_ROOM, _FOOT = 8, 4  # lines of a picture, and of what comes below it
_LIST_COLUMN = 38
_STYLES = re.compile(r"\x1b\[[0-9;]*m")
_LEAST_SHARE = 3  # a page is filled to a third at least
_KEYS = (
    ("Enter, Space, →", "on: to the rest of the stop, or to the next one"),
    ("b, ←", "back to the stop before"),
    ("a number", "to that stop (1 and Enter, or 12)"),
    ("e", "edit the command and run it: your own words, another model"),
    ("r", "show the stop again"),
    ("q, Escape", "leave"),
)


@dataclass
class Walk:
    """The state of a walk.

    Attributes:
        stops: in order.
        run: runs a command of ours as typed, and prints its output.
        total: the number of stops of the whole tour.
        pace: seconds between lines; None to show a stop at once.
        typed: the edited commands, by the number of their stop.
        pending: keys that were read together with the last one.
    """

    stops: Sequence[Stop]
    run: "Callable[[str], None]"
    total: int
    pace: float | None = None
    typed: dict[int, str] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)

    def go(self) -> None:
        """Walk until the last stop is left, or the user leaves."""
        index = 0
        # The terminal is asked for its ground before anything is recorded.
        with palette.using(palette.current()):
            while 0 <= index < len(self.stops):
                index = self._at(index)
        if index == len(self.stops):
            farewell(self.stops, self.total)

    def _at(self, index: int) -> int:
        """Show a stop, and say to which index to go from it; -1 to leave."""
        stop = self.stops[index]
        action: Action = "again"
        while action in ("again", "edit", "help"):
            if action == "help":
                self._help(stop)
                action = self._asked(index)
                continue
            if action == "edit":
                self._edit(stop)
            shown = replace(stop, command=self.typed.get(stop.number, stop.command))
            action = self._shown(shown, index) or self._asked(index)
        if isinstance(action, int):
            return action
        return {"next": index + 1, "back": index - 1}.get(action, -1)

    def _shown(self, stop: Stop, index: int) -> "Action | None":
        """Show a stop, page by page; returns what the user asks for instead of the next page, if anything."""
        from rich.cells import cell_len
        from rich.text import Text

        edited = stop.number in self.typed
        ending = replace(stop, note="") if edited else stop
        if stop.command.split()[1:2] and stop.command.split()[1] in LIVE:
            _fresh_screen()
            announce(stop, self.total)
            paced = self.pace and stop.command.split()[1] == "generate" and "--pace" not in stop.command
            with nullcontext() if edited else typed_ahead(), answers_kept([]) as answers:
                self._run(f"{stop.command} --pace {self.pace:g}" if paced else stop.command)
            conclude(ending, answers)
            return None
        height = stdout_console().height
        with typed_ahead():
            with recorded() as (recorder, _):
                announce(stop, self.total)
            head = recorder.getvalue().splitlines()
            messages = Messages()
            with (
                recorded(max(height - len(head) - _FOOT, _LEAST_ROOM)) as (recorder, answers),
                redirect_stderr(messages),
            ):
                self._run(stop.command)
            body = [*messages.lines(), *recorder.getvalue().rstrip("\n").split("\n")]
            with recorded() as (recorder, _):
                conclude(ending, answers)
        # A command that is wider than the terminal takes more lines, and stays one to be copied.
        wrapped = sum((cell_len(Text.from_ansi(line).plain) - 1) // stdout_console().width for line in head if line)
        pages = list(paged(head, body, recorder.getvalue().splitlines(), max(height - 1 - wrapped, 1)))
        for number, page in enumerate(pages, start=1):
            _fresh_screen()
            if number > 1:
                announce(stop, self.total, where=f" ({number} of {len(pages)})")
            self._written(page)
            if number < len(pages):
                action = self._asked(index, f"page {number}/{len(pages)}")
                if action != "next":
                    return action
        return None

    def _run(self, command: str) -> None:
        try:
            self.run(command)
        except GptcliError as error:
            notice(f"error: {error}")

    def _written(self, lines: "Sequence[str]") -> None:
        for line in lines:
            print(line, flush=self.pace is not None)
            if self.pace:
                sleep(self.pace)

    def _edit(self, stop: Stop) -> None:
        """Let the user edit the command of a stop; an empty line, or Ctrl-D, leaves it as it is."""
        command = self.typed.get(stop.number, stop.command)
        line = edited_line("$ ", command)
        if line and line.strip():
            self.typed[stop.number] = line.strip()

    def _help(self, stop: Stop) -> None:
        """The keys, and the stops with a mark at this one."""
        from rich.text import Text

        console = stdout_console()
        _fresh_screen()
        for keys, text in _KEYS:
            console.print(Text(f"{keys:<17}", style="bold").append(text, style="not bold"))
        console.print()
        rows = [Text(f"{'▸' if each is stop else ' '} {each.number:2}  {each.title}") for each in self.stops]
        across = max(min(console.width // _LIST_COLUMN, 3), 1)
        down = -(-len(rows) // across)
        for index in range(down):
            line = Text(no_wrap=True, overflow="ellipsis")
            for each in range(index, len(rows), down):
                here = self.stops[each] is stop
                line.append(rows[each].plain.ljust(_LIST_COLUMN), style="bold" if here else "")
            line.rstrip()
            console.print(line)
        console.print()

    def _asked(self, index: int, page: str = "") -> "Action":
        """What the next key asks for."""
        last = index + 1 == len(self.stops) and not page
        where = f"{self.stops[index].number}/{self.total}" + (f" {page}" if page else "")
        on = "end" if last else "more" if page else "next"
        question = f" {where}  Enter {on}{'  b back' if index else ''}  e edit  ? help  q leave "
        console = stdout_console()
        console.print(question, style="reverse", end="", no_wrap=True, overflow="crop")
        sys.stdout.flush()
        try:
            with keyboard() as read:
                typed = ""
                while True:
                    self.pending = self.pending or list(read(_WAIT_S))
                    while self.pending:
                        key = self.pending.pop(0)
                        digit = key.isascii() and key.isdigit()
                        typed = typed + key if digit else typed if key == "enter" else ""
                        if typed:
                            found = self._numbered(typed, final=not digit)
                            if found is not None:
                                return found
                            typed = typed if digit else ""
                        elif (action := _ACTIONS.get(key)) is not None and (index or action != "back"):
                            return action
        finally:
            # The question is erased, so that only the tour stays on the screen.
            sys.stdout.write(f"\r{' ' * min(len(question), console.width - 1)}\r")
            sys.stdout.flush()

    def _numbered(self, typed: str, *, final: bool) -> int | None:
        """The index of the stop with this number, once no longer number can begin like it."""
        numbers = [f"{stop.number}" for stop in self.stops]
        longer = any(number.startswith(typed) and number != typed for number in numbers)
        return numbers.index(typed) if typed in numbers and (final or not longer) else None


def paged(head: Sequence[str], body: Sequence[str], foot: Sequence[str], room: int) -> "Iterator[list[str]]":
    """The lines of a stop in pages of at most ``room`` lines; on the second and later pages one line is the heading's.

    A picture that fits on a page is not cut: where it does not fit below the text, it is on the second page. A longer
    one is cut where a part of it begins, unless that leaves much of a page empty. The last page repeats what fits.
    """
    if len(head) + len(body) + len(foot) <= room:
        yield [*head, *body, *foot]
        return
    rest, room_after = [*body, *foot], max(room - 1, 1)
    if len(rest) <= room_after:
        yield list(head)
        yield rest
        return
    start = _cut(rest, max(room - len(head), 0))
    yield [*head, *rest[:start]]
    while len(rest) - start > room_after:
        end = start + _cut(rest[start:], room_after)
        yield rest[start:end]
        start = end
    # The last page has room for parts that were shown before: what its last sentence points at is more often on it.
    yield rest[next((place for place in range(len(rest) - room_after, start) if _begins(rest, place)), start) :]


def _cut(lines: Sequence[str], most: int) -> int:
    """How many lines go on a page that holds ``most``: to the last part that is whole, of at least a third of it."""
    if len(lines) <= most:
        return len(lines)
    places = range(most, max(most // _LEAST_SHARE, 1) - 1, -1)
    return next((place for place in places if _begins(lines, place)), most)


def _begins(lines: Sequence[str], place: int) -> bool:
    """Whether a part of a picture begins at this line: a box, or what follows an empty line."""
    here, before = (_STYLES.sub("", lines[at]).strip() if at >= 0 else "" for at in (place, place - 1))
    return bool(here) and (not before or here.startswith("┌"))


def edited_line(prompt: str, line: str) -> str | None:
    """A line that the user has edited, with the keys of the shell where Python has readline; None if there is none."""
    try:
        import readline
    except ImportError:  # Windows: a new line
        readline = None  # type: ignore[assignment]
    if readline is not None:
        readline.set_startup_hook(lambda: readline.insert_text(line))
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        print()
        return None
    finally:
        if readline is not None:
            readline.set_startup_hook(None)


def _fresh_screen() -> None:
    """Move what is on the screen up into the scrollback, and go to the top."""
    console = stdout_console()
    if not console.is_dumb_terminal:
        sys.stdout.write("\n" * console.height + f"\x1b[{console.height}A\r")
