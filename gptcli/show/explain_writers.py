"""Writers of ``generate --explain``: a live display on a terminal, rows in a pipe, or JSON."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gptcli.errors import InputError
from gptcli.generation.explaining import Explainer
from gptcli.generation.records import CompletionRecord, TokenRecord
from gptcli.generation.writing import Completion, Piece, Writing
from gptcli.probability.choice import Explanation
from gptcli.show import explain, story
from gptcli.show.explain_page import draw_page
from gptcli.show.logits import ending
from gptcli.show.look_back import can_look_back, look_back
from gptcli.show.terminal.console import save_as, stdout_console, stdout_is_terminal
from gptcli.show.terminal.keyboard import typed_ahead
from gptcli.show.terminal.watching import keep_picture, pictures_wanted

if TYPE_CHECKING:
    from rich.console import RenderableType

# Updates a second of the live display.
_PER_SECOND = 15
# The most texts of one saved picture, and to look back through.
_MOST_SAVED, _MOST_LOOKED_AT = 1000, 100


def write_explained(
    writing: Writing, output: str | None, *, top: int, echo: bool, save: Path | None, pace: float = 0.0
) -> None:
    """Generate the texts, and show the candidates for each token.

    Args:
        writing: the texts.
        output: ``json``, ``jsonl``, or None for a picture or rows.
        top: how many candidates to list for each token.
        echo: show the prompts too.
        save: also write a picture of all texts to this file.
        pace: seconds to wait after each token.

    Raises:
        InputError: there are too many texts for one picture.
    """
    count = len(writing.request.prompts) * writing.request.num_samples
    if save is not None and count > _MOST_SAVED:
        raise InputError(f"--save makes one picture of {count:,} texts: {_MOST_SAVED:,} are the most")
    looks_back = output is None and count <= _MOST_LOOKED_AT and can_look_back()
    explainer = Explainer(writing, top, keep=save is not None or pictures_wanted() or looks_back)
    writer: story.Writer
    if output == "json":
        writer = ExplainedJson(writing, explainer)
    elif output == "jsonl":
        writer = ExplainedJsonLines(writing, explainer)
    elif stdout_is_terminal():
        writer = LiveWriter(writing, explainer, echo=echo)
    else:
        writer = RowsWriter(writing, explainer, echo=echo)
    try:
        story.write(writing, writer, pace)
    finally:
        if isinstance(writer, LiveWriter):
            writer.stop()
    keep_picture(lambda: _whole(explainer.texts), lambda: draw_page(explainer.texts))
    if save is not None:
        save_explained(explainer.texts, save)
    if looks_back:
        look_back([(prompt if echo else "", steps) for prompt, steps in explainer.texts])


def save_explained(texts: "Sequence[tuple[str, list[Explanation]]]", save: Path) -> None:
    """Write a picture of texts and their tokens to a file."""
    save_as(save, lambda: _whole(texts), lambda: draw_page(texts))


def _whole(texts: "Sequence[tuple[str, list[Explanation]]]") -> "RenderableType":
    from rich.console import Group

    return Group(*(explain.draw_listed(prompt, steps) for prompt, steps in texts))


class _InOrder:
    """Shows several texts one after the other while they are generated together."""

    def __init__(self, writing: Writing, explainer: Explainer, *, echo: bool) -> None:
        self._writing, self._completions = writing, writing.completions
        self._explainer, self._echo = explainer, echo
        self._current = self._ended = 0

    def begin(self) -> None:
        """Show nothing before the first token."""
        self._explainer.begin()
        self._completions, self._current = self._writing.completions, 0

    def piece(self, piece: Piece) -> None:
        """Show a chosen token."""
        self._explainer.add(piece)
        self._show()

    def close(self) -> None:
        """Show the rest of every text."""
        while self._current < len(self._completions):
            self._next()

    def _show(self) -> None:
        while self._current < len(self._completions):
            completion = self._completions[self._current]
            if completion.finish_reason is None:
                return self._grow(completion)
            self._next()

    def _next(self) -> None:
        self._end(self._completions[self._current])
        self._current, self._ended = self._current + 1, self._ended + 1

    def _prompt(self, completion: Completion) -> str:
        return completion.prompt if self._echo else ""

    def _grow(self, completion: Completion) -> None:
        """The current text has grown."""

    def _end(self, completion: Completion) -> None:
        """The current text is complete."""


class LiveWriter(_InOrder):
    """On a terminal: a live display of the text and the candidates for its newest token; the text stays."""

    def __init__(self, writing: Writing, explainer: Explainer, *, echo: bool) -> None:
        from rich.live import Live

        super().__init__(writing, explainer, echo=echo)
        self._console = stdout_console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._open = ExitStack()
        self._drawn = 0.0

    def begin(self) -> None:
        """Clear space for the live display."""
        super().begin()
        self._open.enter_context(typed_ahead())  # echoed input would shift the display
        self._open.enter_context(self._live)

    def close(self) -> None:
        """Show the rest of every text."""
        self.stop()
        super().close()

    def stop(self) -> None:
        """Clear the live display, and show the cursor again."""
        self._open.close()

    def _grow(self, completion: Completion) -> None:
        now = time.monotonic()
        if now - self._drawn < 1 / _PER_SECOND:
            return
        self._drawn = now
        steps = self._explainer.steps(completion)
        if steps:
            self._live.update(explain.frame(self._prompt(completion), steps), refresh=True)

    def _end(self, completion: Completion) -> None:
        self._live.update("", refresh=True)
        if self._ended:
            self._console.print(f"{story.SEPARATOR}", style="dim")
        self._console.print(explain.draw(self._prompt(completion), self._explainer.steps(completion)))


class RowsWriter(_InOrder):
    """In a pipe: a line for each token, with as many candidates as fit into the width."""

    def __init__(self, writing: Writing, explainer: Explainer, *, echo: bool) -> None:
        super().__init__(writing, explainer, echo=echo)
        self._width = stdout_console().width
        self._shown: int | None = None  # rows of the current text written so far; None: not begun

    def _grow(self, completion: Completion) -> None:
        if self._shown is None:
            self._shown = 0
            head = [f"{story.SEPARATOR}\n"] if self._ended else []
            head += [f"{ending(completion.prompt, self._width - 2)} ▁\n"] if self._echo else []
            sys.stdout.write("".join(head) + explain.row_heading() + "\n")
        steps = self._explainer.steps(completion)
        for step in steps[self._shown :]:
            sys.stdout.write(explain.row(step, self._width) + "\n")
        self._shown = len(steps)
        sys.stdout.flush()

    def _end(self, completion: Completion) -> None:
        self._grow(completion)
        self._shown = None


class ExplainedJson(story.JsonWriter):
    """One object for each text, with ``steps``: each token and its candidates."""

    def __init__(self, writing: Writing, explainer: Explainer) -> None:
        super().__init__(writing)
        self._explainer = explainer

    def begin(self) -> None:
        """Print nothing before the end."""
        self._explainer.begin()

    def piece(self, piece: Piece) -> None:
        """Record the token's candidates."""
        self._explainer.add(piece)

    def record(self, completion: Completion) -> CompletionRecord:
        """The object of one text."""
        return replace(super().record(completion), steps=self._explainer.steps(completion))


class ExplainedJsonLines(story.JsonLinesWriter):
    """One object for each token, with ``step``: its candidates."""

    def __init__(self, writing: Writing, explainer: Explainer) -> None:
        super().__init__(writing)
        self._explainer = explainer

    def begin(self) -> None:
        """Print nothing before the first token."""
        self._explainer.begin()

    def record(self, piece: Piece) -> TokenRecord:
        """The object of one token."""
        return replace(super().record(piece), step=self._explainer.add(piece))
