"""A text while it is being written: streamed to a person or a pipe, or recorded as JSON."""

import sys
import time
from collections.abc import Iterator
from itertools import chain
from typing import Protocol

from gptcli.generation.records import CompletionRecord, TokenRecord
from gptcli.generation.writing import Completion, Piece, Writing
from gptcli.show.terminal.console import print_json, stdout_console, stdout_is_terminal
from gptcli.show.terminal.flow import Flow
from gptcli.show.terminal.interrupt import Interrupt
from gptcli.system.notices import notice
from gptcli.system.peak_memory import peak_memory

SEPARATOR = "---"
# Seconds between looks for Ctrl-C while waiting.
_NAP_S = 0.05


class Writer(Protocol):
    """Shows pieces as they come, batch by batch."""

    def begin(self) -> None:
        """Start a batch: its prompts are known, and no token yet."""

    def piece(self, piece: Piece) -> None:
        """Show a chosen token."""

    def close(self) -> None:
        """End the batch: show what was not shown yet."""


def writer_for(writing: Writing, output: str | None, *, echo: bool, written: int = 0) -> Writer:
    """The writer for ``--json``, ``--jsonl``, or (None) for text, after so many prompts of other requests."""
    if output == "json":
        return JsonWriter(writing)
    if output == "jsonl":
        return JsonLinesWriter(writing, written)
    return TextWriter(writing, echo=echo, begun=written)


def write(writing: Writing, writer: Writer, pace: float = 0.0) -> None:
    """Generate and show the texts; an interrupt keeps the text so far.

    Args:
        writing: the texts.
        writer: shows them.
        pace: seconds to wait after each token.
    """
    try:
        for pieces in writing.batches():
            _write_some(pieces, writer, pace)
            writer.close()
    except KeyboardInterrupt:
        writing.interrupt()
        writer.close()
        _tell_slid(writing)
        raise
    _tell_slid(writing)


def _write_some(pieces: Iterator[Piece], writer: Writer, pace: float) -> None:
    """Generate and show one batch of texts."""
    with Interrupt() as interrupt:
        writer.begin()
        interrupt.check()
    first = next(pieces, None)  # reading the prompt may take long and shows nothing: Ctrl-C ends it at once
    with Interrupt() as interrupt:
        for piece in chain([] if first is None else [first], pieces):
            writer.piece(piece)
            interrupt.check()
            _pause(pace, interrupt)


def _pause(seconds: float, interrupt: Interrupt) -> None:
    """Wait so long, or until Ctrl-C."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _NAP_S))
        interrupt.check()


def _tell_slid(writing: Writing) -> None:
    """The notice about the context comes after the text: on a terminal it would split a line."""
    if writing.slid or any(completion.sample.slid for completion in writing.completions):
        notice(
            f"the text outgrew the context of {writing.n_positions:,} tokens: the model went on with its newest "
            f"{max(writing.n_positions // 2, 1):,} (--overflow stop ends instead)"
        )


class TextWriter:
    """Plain text on stdout, streamed; on a terminal the prompt is set apart from the continuation.

    With several texts the first unfinished one streams, and the others follow, each under a line of their own.

    Args:
        writing: the texts.
        echo: print the prompt before its continuation.
        begun: texts that stand before these.
    """

    def __init__(self, writing: Writing, *, echo: bool, begun: int = 0) -> None:
        self._writing, self._completions = writing, writing.completions
        self._echo = echo
        self._flow = Flow(stdout_console() if stdout_is_terminal() else None)
        self._current, self._begun = 0, begun
        self._shown: int | None = None  # characters of the current completion written so far; None: not begun
        self._last = "\n"

    def begin(self) -> None:
        """Print the first prompt."""
        self._completions, self._current = self._writing.completions, 0
        self._show()

    def piece(self, piece: Piece) -> None:
        """Print the new text."""
        self._show()

    def close(self) -> None:
        """Print the rest of every text, and end the last line."""
        while self._current < len(self._completions):
            self._begin()
            self._rest(self._completions[self._current])
            self._next()
        sys.stdout.flush()

    def _show(self) -> None:
        while self._current < len(self._completions):
            self._begin()
            completion = self._completions[self._current]
            self._rest(completion)
            if completion.finish_reason is None:
                break
            self._next()
        sys.stdout.flush()

    def _begin(self) -> None:
        if self._shown is not None:
            return
        self._shown = 0
        if self._begun:
            self._print(f"{SEPARATOR}\n", "dim")
        self._begun += 1
        if self._echo:
            self._print(self._completions[self._current].prompt, "bold")

    def _rest(self, completion: Completion) -> None:
        assert self._shown is not None
        self._print(completion.stream.text[self._shown :])
        self._shown = len(completion.stream.text)

    def _next(self) -> None:
        if self._last != "\n":
            self._print("\n")
        self._current, self._shown = self._current + 1, None

    def _print(self, text: str, style: str | None = None) -> None:
        if not text:
            return
        self._last = text[-1]
        self._flow.write(text, style)


class JsonWriter:
    """One JSON object for each text, on a line each, at the end of a batch."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    def begin(self) -> None:
        """Print nothing before the end."""

    def piece(self, piece: Piece) -> None:
        """Print nothing before the end."""

    def close(self) -> None:
        """Print the objects, in order."""
        for completion in self._writing.completions:
            print_json(self.record(completion), indent=None)

    def record(self, completion: Completion) -> CompletionRecord:
        """The object of one text."""
        return self._writing.record(completion)


class JsonLinesWriter:
    """One JSON object for each token, as it is chosen.

    Args:
        writing: the texts.
        written: prompts of other requests before these.
    """

    def __init__(self, writing: Writing, written: int = 0) -> None:
        self._writing, self._written = writing, written

    def begin(self) -> None:
        """Print nothing before the first token."""

    def piece(self, piece: Piece) -> None:
        """Print the object of this token."""
        print_json(self.record(piece), indent=None)

    def record(self, piece: Piece) -> TokenRecord:
        """The object of one token."""
        sample = piece.step.sample
        return TokenRecord(
            prompt_number=self._written + sample.prompt + 1,
            sample=sample.number + 1,
            position=len(sample.ids),
            id=piece.step.token,
            token=self._writing.tokenizer.token_bytes(piece.step.token),
            text=piece.text,
            logprob=sample.logprobs[-1],
            finish_reason=piece.completion.finish_reason,
            seed=self._writing.request.seed,
            changes=self._writing.changes,
        )

    def close(self) -> None:
        """Everything is printed already."""


def show_stats(writing: Writing) -> None:
    """Tokens, speed, time to the first token, peak memory, why not in C, and the seed, in one line on stderr."""
    timings = writing.clock.timings()
    parts = [f"{writing.prompt_tokens:,} prompt tokens", f"{writing.clock.tokens:,} new tokens"]
    if timings.tokens_per_s is not None and timings.first_token_s is not None:
        first = f"first token after {timings.first_token_s * 1e3:,.0f} ms"
        parts += [f"{timings.tokens_per_s:,.1f} tokens/s", first]
    if writing.guessed is not None:
        parts.append(f"{writing.guessed:,} guessed")
    parts.append(f"loaded in {writing.clock.load_s:.2f} s")
    peak = peak_memory()
    if peak is not None:
        parts.append(f"peak memory {peak / 1e6:,.0f} MB")
    if writing.why_not_c is not None:
        parts.append(f"written by PyTorch: {writing.why_not_c}")
    if writing.changes is not None:
        parts.append(f"a changed model: {' '.join(writing.changes)}")
    notice(" · ".join([*parts, f"seed {writing.request.seed}"]))
