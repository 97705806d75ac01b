"""The program on the terminal: keys and mouse come from Textual, lines go to it."""

import asyncio
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.color import Color
from textual.filter import LineFilter
from textual.geometry import Region
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from gptcli.explore.line import Line
from gptcli.explore.overlay import help_lines, tour_lines
from gptcli.explore.picture import Picture
from gptcli.explore.screen import Explorer, Setup
from gptcli.explore.still import drawing_console
from gptcli.show.blocks import palette
from gptcli.show.tour import Stop

# An answer that takes longer than this is drawn when it comes, and what is there before it.
_SOON_S = 0.02


class Board(Widget):
    """Shows a picture; only lines that changed are sent to the terminal."""

    DEFAULT_CSS = "Board { width: 100%; height: 100%; }"

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []
        self._strips: list[Strip] = []

    def show(self, lines: Iterable[Line]) -> None:
        """Draw these lines."""
        lines = list(lines)
        count = max(len(lines), len(self._lines))
        changed = [
            row
            for row in range(count)
            if row >= len(lines) or row >= len(self._lines) or lines[row].pieces != self._lines[row].pieces
        ]
        self._lines, old = lines, self._strips
        new = set(changed)
        self._strips = [
            Strip(each.segments(), each.width) if row in new else old[row] for row, each in enumerate(lines)
        ]
        if changed:
            self.refresh(*(Region(0, row, self.size.width, 1) for row in changed))

    def render_line(self, y: int) -> Strip:
        """One line, as wide as the board."""
        width = self.size.width
        strip = self._strips[y] if y < len(self._strips) else Strip([])
        return strip.adjust_cell_length(width).apply_style(self.rich_style)


class MainScreen(Screen[None]):
    """The board, and what is typed and clicked."""

    def __init__(self, app: "ExploreApp") -> None:
        super().__init__()
        self._explore = app
        self.board = Board()

    def compose(self) -> ComposeResult:
        """One widget."""
        yield self.board

    def on_key(self, event: events.Key) -> None:
        """All keys are the explorer's, but Ctrl-Z where it does not use it."""
        if self._explore.explorer.press(event.key, event.character) or event.key != "ctrl+z":
            event.stop()
            event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Text from the clipboard."""
        event.stop()
        self._explore.explorer.paste(event.text)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A click acts when the button goes down."""
        event.stop()
        self._explore.explorer.click(event.x, event.y)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The next token."""
        event.stop()
        self._explore.explorer.scroll(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The token before."""
        event.stop()
        self._explore.explorer.scroll(-1)

    def on_resize(self, event: events.Resize) -> None:
        """Everything is laid out again."""
        self._explore.explorer.resized(event.size.width)
        self._explore.redraw()


class Overlay(ModalScreen[None]):
    """Text over the board, which any key closes."""

    def __init__(self, app: "ExploreApp", lines: Callable[[int, int], Picture]) -> None:
        super().__init__()
        self._explore, self._lines, self._top = app, lines, 0
        self.board = Board()

    def compose(self) -> ComposeResult:
        """One widget."""
        yield self.board

    def on_mount(self) -> None:
        """The same ground as the board's."""
        self.styles.background = self._explore.theme_shown.ground

    def on_resize(self, event: events.Resize) -> None:
        """Laid out again."""
        self._draw()

    def _draw(self) -> None:
        width, height = self.app.size
        with palette.using(self._explore.theme_shown):
            lines = self._lines(width, height).lines
        room = max(height - 1, 1)
        self._top = min(max(self._top, 0), max(len(lines) - room, 0))
        says = " ↑↓ more · any other key closes this" if len(lines) > room else " any key closes this"
        last = Line((says[:width], self._explore.theme_shown.quiet))
        filled = [*lines[self._top : self._top + room], *[Line()] * (room - len(lines))]
        self.board.show([*filled, last][:height])

    def on_key(self, event: events.Key) -> None:
        """Arrows scroll, all else closes."""
        event.stop()
        event.prevent_default()
        if event.key == "ctrl+c":
            return self._explore.leave(130)
        steps = {"up": -1, "down": 1, "pageup": -self.size.height, "pagedown": self.size.height, "space": 5}
        if event.key in steps:
            self._top += steps[event.key]
            return self._draw()
        self.dismiss()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A click closes it too."""
        event.stop()
        self.dismiss()


class Colourless(LineFilter):
    """For NO_COLOR: bold, underlined and reversed text, and no colour at all."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments without colours."""
        return [
            Segment(text, None if style is None else _colourless(style), control) for text, style, control in segments
        ]


def _colourless(style: Style) -> Style:
    return Style(bold=style.bold, dim=style.dim, underline=style.underline, reverse=style.reverse)


class ExploreApp(App[int]):
    """See the module.

    Args:
        setup: what it starts with.
        coloured: whether colours are shown.
        theme: their theme.

    Attributes:
        drawing: the console of the pictures.
        theme_shown: their theme.
        failure: an exception that ended the program; None where none did.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS: ClassVar[str] = "Screen { layout: vertical; overflow: hidden; } ModalScreen { }"

    def __init__(self, setup: Setup, *, coloured: bool = True, theme: palette.Theme = palette.DARK) -> None:
        super().__init__()
        self.drawing = drawing_console(coloured=coloured)
        self.failure: BaseException | None = None
        self.explorer = Explorer(setup, self, self.drawing)
        self._main: MainScreen | None = None
        self._soon: Timer | None = None
        self.theme_shown = theme
        if not coloured:
            self._filters = [Colourless()]

    def get_default_screen(self) -> Screen[None]:
        """The board."""
        self._main = MainScreen(self)
        return self._main

    def on_mount(self) -> None:
        """Set the ground, and ask for the first answers."""
        theme = self.theme_shown
        assert self._main is not None
        self._main.styles.background = theme.ground
        self._main.styles.color = theme.ink
        for number, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)):
            with suppress(NotImplementedError, RuntimeError, ValueError):
                asyncio.get_running_loop().add_signal_handler(number, self.leave, code)
        self.explorer.start()

    def on_unmount(self) -> None:
        """End the threads."""
        self.explorer.stop()

    # What the explorer needs

    def redraw(self) -> None:
        """See ``Host``."""
        if self._soon is not None:
            self._soon.stop()
            self._soon = None
        if self._main is None or not self._main.is_attached:
            return
        width, height = self._main.size
        with palette.using(self.theme_shown):
            self._main.board.show(self.explorer.draw(width, height).lines)

    def redraw_soon(self) -> None:
        """See ``Host``."""
        if not self.explorer.busy:
            self.redraw()
        elif self._soon is None:
            self._soon = self.set_timer(_SOON_S, self.redraw)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """See ``Host``."""
        self.set_timer(seconds, call)

    def from_thread(self, call: Callable[[], None]) -> None:
        """See ``Host``."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(self._guarded, call)

    def _guarded(self, call: Callable[[], None]) -> None:
        """In the loop, where an exception has to end the program."""
        if not self.is_running:
            return
        try:
            with self._context():
                call()
        except Exception as error:
            self._handle_exception(error)

    def leave(self, code: int) -> None:
        """See ``Host``."""
        self.exit(code)

    def show_help(self) -> None:
        """See ``Host``."""
        self.push_screen(Overlay(self, help_lines))

    def show_tour(self, stop: Stop) -> None:
        """See ``Host``."""
        self.push_screen(Overlay(self, lambda width, height: tour_lines(stop, width)))

    def _handle_exception(self, error: Exception) -> None:
        """End without a traceback; ``run`` tells what happened."""
        if self.failure is None:
            self.failure = error
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()
