"""``gptcli generate --pick`` on a terminal: the candidates, and the keys to choose with.

It is drawn on stderr, so that stdout holds the text or its record and nothing else.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gptcli.generation.pick.draft import Draft
from gptcli.generation.pick.keys import DEFAULT_RUN, Picker
from gptcli.show.blocks.figures import choices
from gptcli.show.blocks.frame import Frame
from gptcli.show.blocks.passage import Passage, legend
from gptcli.show.explain import what_was_cut
from gptcli.show.explain_writers import save_explained
from gptcli.show.logits import Candidates
from gptcli.show.terminal.console import print_json, stderr_console, stdout_console, stdout_is_terminal
from gptcli.show.terminal.encoding import escaped
from gptcli.show.terminal.interrupt import Interrupt
from gptcli.show.terminal.keyboard import keyboard
from gptcli.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.text import Text

# Seconds between checks of the terminal's size while waiting for a key.
_WAIT_S = 0.3
_KEYS = {
    "choose": "↑↓ or number, Enter takes · Space draws · t type · r run · u undo · q quit",
    "type": "Enter puts it in, Escape leaves it",
    "count": "Enter draws them, Ctrl-C stops, Escape leaves it",
}
# The same for a low or narrow terminal: a line of less than 60 columns.
_SHORT_KEYS = {**_KEYS, "choose": "↑↓ Enter take · Space draw · t type · r run · u undo · q"}


def write_picked(draft: Draft, model: str, *, as_json: bool, echo: bool, save: Path | None) -> None:
    """Let a person write the text, and show it; after an interrupt the text so far."""
    try:
        pick(draft)
    except KeyboardInterrupt:
        show_draft(draft, model, "interrupted", as_json=as_json, echo=echo, save=save)
        raise
    show_draft(draft, model, "quit", as_json=as_json, echo=echo, save=save)


def show_draft(draft: Draft, model: str, left: str, *, as_json: bool, echo: bool, save: Path | None) -> None:
    """Show a draft: its record as JSON, the coloured text, or in a pipe the text."""
    prompt = draft.prompt if echo else ""
    if as_json:
        print_json(draft.record(model, left), indent=None)
    elif stdout_is_terminal():
        console = stdout_console()
        console.print(Passage(prompt, draft.steps))
        if draft.steps:
            console.print(legend())
    else:
        sys.stdout.write(escaped(f"{prompt}{draft.text}\n"))
    if save is not None:
        save_explained([(draft.prompt, draft.steps)], save)


def pick(draft: Draft) -> None:
    """Let a person choose tokens until they quit.

    Raises:
        KeyboardInterrupt: Ctrl-C, except while tokens are being drawn: there it stops them.
    """
    from rich.live import Live

    console = stderr_console()
    picker = Picker(draft)
    with keyboard() as read, Live(console=console, auto_refresh=False, transient=True) as live:
        drawn = None
        while not picker.done:
            if drawn != console.size or drawn is None:
                live.update(picture(picker), refresh=True)
                drawn = console.size
            for key in read(_WAIT_S):
                picker.press(key)
                _run(picker, live)
                drawn = None


def _run(picker: Picker, live: "Live") -> None:
    """Draw the pending tokens while showing them; Ctrl-C stops."""
    if not picker.pending:
        return
    try:
        with Interrupt() as interrupt:
            while picker.pending:
                picker.work()
                live.update(picture(picker), refresh=True)
                interrupt.check()
    except KeyboardInterrupt:
        picker.stop()


def picture(picker: Picker) -> "RenderableType":
    """The text, the candidates, and what the keys do."""
    from rich.console import Group

    distribution = picker.offer.distribution
    selected = None if picker.draft.finished else distribution.candidates[picker.selected].id

    def listed(most: int, *, compact: bool) -> Candidates:
        start = max(picker.selected - most + 1, 0)
        return Candidates(distribution, start=start, most=most, selected=selected, compact=compact)

    def now(most: int) -> "RenderableType":
        return Group(listed(most, compact=False), _facts(picker), *_asked(picker, _KEYS))

    def low(most: int) -> "RenderableType":
        return Group(listed(most, compact=True), *_asked(picker, _SHORT_KEYS))

    return Frame(picker.draft.prompt, picker.draft.steps, now, len(distribution.candidates), low)


def _facts(picker: Picker) -> "Text":
    from rich.text import Text

    distribution = picker.offer.distribution
    kept = f"{distribution.kept:,} kept · {choices(distribution.entropy_bits)}"
    return Text(f"{what_was_cut(picker.offer.cuts)} · {kept}", "dim")


def _asked(picker: Picker, keys: "Mapping[str, str]") -> "list[Text]":
    """The entry or the message, and the keys."""
    from rich.text import Text

    told = f"drawing, {picker.pending:,} to go · Ctrl-C stops" if picker.pending else keys[picker.mode]
    last = Text(told, "dim", no_wrap=keys is _SHORT_KEYS, overflow="ellipsis" if keys is _SHORT_KEYS else "fold")
    if picker.message:
        return [_line(picker.message, "bold"), last]
    if picker.mode == "type":
        return [_line("text (a space in front begins a word): ", "bold", picker.entry), last]
    if picker.mode == "count":
        return [_line(f"how many tokens ({DEFAULT_RUN}): ", "bold", picker.entry), last]
    return [last] if keys is _SHORT_KEYS else [_line("", "bold"), last]


def _line(text: str, style: str, entry: str | None = None) -> "Text":
    """One line, clipped: an entry shows its end, other text its beginning."""
    from rich.text import Text

    line = Text(visible(text, keep=""), style=style, no_wrap=True, overflow="ellipsis")
    if entry is not None:
        line.append(f"{visible(entry, keep='')[-36:].replace(' ', '·')}▏", style="not bold")
    return line
