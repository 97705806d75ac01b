"""The texts that a command reads from files (``-f``), one a file or one a line (``--lines``)."""

import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gptcli.cli.inputs import WITH_FILE, plain_text, prompt_argument, text_argument
from gptcli.cli.options import RawOption
from gptcli.errors import InputError
from gptcli.system.line_reader import each_line
from gptcli.system.notices import notice
from gptcli.system.text_file import MOST_LINE, file_name, from_utf8, mark_length, opened, read_text_file
from gptcli.text import clipped, size

PANEL = "Input"
# As ``-`` reads it.
STDIN = Path("-")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Source:
    """A text and where it comes from.

    Attributes:
        text: the text.
        file: as it was typed; None: an argument or a pipe.
        line: from 1; None: the text is not one of several lines.
    """

    text: str
    file: str | None = None
    line: int | None = None

    @property
    def name(self) -> str:
        """What to call it: the file, the line, both, or its beginning."""
        if self.line is not None:
            return f"line {self.line:,}" if self.file is None else f"{clipped(self.file)}, line {self.line:,}"
        return self.text if self.file is None else clipped(self.file)


class Sources(Iterable[Source]):
    """Texts in order, read as they are asked for.

    Args:
        files: where they are.
        lines: each line is a text.
        option: that asked for lines, for the error messages.

    Attributes:
        done: bytes of them that were read.
        total: bytes of all; None where that is unknown, as in a pipe.
    """

    def __init__(self, files: Sequence[Path], *, lines: bool, option: str = "--lines") -> None:
        self._files, self._lines, self._option = files, lines, option
        self._told_returns = False
        self.done = 0
        self.total = _total_size(files)

    def __iter__(self) -> Iterator[Source]:
        return (source for source in self.with_pauses() if source is not None)

    def with_pauses(self) -> Iterator[Source | None]:
        """The texts; None where the writer of a pipe waits for answers to what was read so far."""
        for file in self._files:
            name = None if file == STDIN else str(file)
            if not self._lines:
                text = read_text_file(file)
                self.done += len(text.encode("utf-8", "replace"))
                yield Source(plain_text(text), name)
                continue
            with opened(file) as found:
                for number, line in each_line(found):
                    if line is None:
                        yield None
                        sys.stdout.flush()  # all answers are written, and what comes next may take long
                    elif text := self._text(line, number, file):
                        yield Source(text, name, number)

    def _text(self, line: bytes, number: int, file: Path) -> str:
        """A line without its end."""
        what = f"line {number:,} of {file_name(file)}"
        if len(line) > MOST_LINE:
            raise InputError(f"{what} has more than {size(MOST_LINE)}: that is no line of {self._option}")
        self.done += len(line)
        text = from_utf8(line, what, mark_length(line, file_name(file)) if number == 1 else 0)
        # Not rstrip(), and not splitlines(): a text may hold other separators, such as U+2028.
        text = text.removesuffix("\n").removesuffix("\r")
        if "\r" in text and not self._told_returns:
            self._told_returns = True
            notice(f"{what} has carriage returns inside, which end no line (tr '\\r' '\\n' makes them)")
        return text


def _total_size(files: Iterable[Path]) -> int | None:
    total = 0
    for file in files:
        try:
            found = os.fstat(0) if file == STDIN else file.stat()
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        total += found.st_size
    return total


@dataclass(frozen=True)
class TextOptions:
    """Options of commands that read texts from files.

    Attributes:
        file, lines, raw: as on the command line.
    """

    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="Read a file; - is stdin. Repeatable.", rich_help_panel=PANEL
        ),
    ] = None
    lines: Annotated[
        bool,
        typer.Option("--lines", help="One text a line, of a file or a pipe; one answer a line.", rich_help_panel=PANEL),
    ] = False
    raw: RawOption = False

    @property
    def several(self) -> bool:
        """Whether there is more than one text, or may be."""
        return self.lines or len(self.file or []) > 1

    def check(self, text: object, what: str) -> None:
        """Refuse an argument next to files or lines.

        Raises:
            InputError: says which.
        """
        if text is not None and text != "-" and (self.file or self.lines):
            owner = "-f reads a file" if self.file else "--lines reads a file (-f) or a pipe"
            raise InputError(f"{owner}, so there is no {what} to give")

    def one(self, text: str | None, what: str) -> Source:
        """The only text: an argument, a file, or a pipe.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        self.check(text, what)
        if self.file:
            return next(iter(self.each(text, what)))
        return Source(text_argument(text, what, escapes=not self.raw, file_hint=WITH_FILE))

    def each(self, text: str | None, what: str) -> Sources:
        """The texts: lines, or files.

        Raises:
            InputError: there is an argument too, or neither a file nor a pipe.
        """
        self.check(text, what)
        if not self.file and (sys.stdin is None or (text is None and sys.stdin.isatty())):
            raise InputError(f"{what} is missing: --lines reads a file (-f) or a pipe")
        for file in self.file or []:
            with opened(file):  # a mistake is told before the model is loaded
                pass
        return Sources(self.file or [STDIN], lines=self.lines)


def prompts_of(prompts: list[str], texts: TextOptions, prompts_file: Path | None) -> Iterator[list[str]]:
    """The prompts to continue: arguments (``-`` is stdin), files or their lines, a pipe, or one empty prompt.

    Args:
        prompts: the arguments.
        texts: files, and whether their lines are the prompts.
        prompts_file: like ``-f`` with ``--lines``.

    Yields:
        Those that can be continued now: all at once, but for lines of a pipe, of which more may follow.

    Raises:
        InputError: a file or stdin cannot be read, or holds no prompt.
    """
    given = [prompt_argument(prompt, raw=texts.raw, file_hint=WITH_FILE) for prompt in prompts]
    sources = []
    if texts.file or (texts.lines and prompts_file is None):
        sources += [replace(texts, raw=True).each("-" if given else None, "PROMPT")]
    if prompts_file is not None:
        sources += [Sources([prompts_file], lines=True, option="--prompts-file")]
    _tell_words(prompts)
    if not sources:
        at_terminal = sys.stdin is None or sys.stdin.isatty()
        yield given or ["" if at_terminal else text_argument("-", "PROMPT")]
        return
    read = 0
    for source in chain.from_iterable(each.with_pauses() for each in sources):
        if source is not None:
            given.append(source.text)
            read += 1
        elif read and given:
            yield given
            given = []
    if not read:
        name = f"--prompts-file {clipped(str(prompts_file))}" if prompts_file else file_name((texts.file or [STDIN])[0])
        raise InputError(f"{name} holds no prompt")
    if given:
        yield given


def _tell_words(prompts: list[str]) -> None:
    """Tell on stderr where several arguments look like one text without quotes."""
    if not any(" " in prompt or prompt == "-" for prompt in prompts) and any(
        word[:1].islower() for word in prompts[1:]
    ):
        notice(f"{len(prompts):,} prompts of one word: put a text in quotes to have it as one")


def answered(
    sources: Sources, answer: Callable[[Iterator[str | None]], Iterator[Answer]]
) -> Iterator[tuple[Source, Answer]]:
    """Each source with the answer to its text, in order.

    Args:
        sources: the texts.
        answer: takes texts, some at a time, and gives an answer to each; it refuses a text before it takes the next,
            and answers all that it has at a None.

    Raises:
        InputError: a text was refused; says which one.
    """
    waiting: deque[Source] = deque()

    def texts() -> Iterator[str | None]:
        for source in sources.with_pauses():
            if source is not None:
                waiting.append(source)
            yield None if source is None else source.text

    answers = answer(texts())
    while True:
        try:
            found = next(answers)
        except StopIteration:
            return
        except InputError as error:
            if waiting and waiting[-1].line is not None:
                raise InputError(f"{waiting[-1].name}: {error}") from error
            raise
        yield waiting.popleft(), found
