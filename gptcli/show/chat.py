"""``gptcli chat``: a conversation on a terminal, or line by line through a pipe."""

import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gptcli.errors import GptcliError, InputError
from gptcli.generation.chatting import Chat
from gptcli.inputs import stdin_lines
from gptcli.show.console import (
    SAVE_SUFFIXES,
    check_save,
    json_text,
    notice,
    print_json,
    save_as,
    stdout_console,
    stdout_is_terminal,
    write_flowing,
)
from gptcli.show.interrupt import Interrupt
from gptcli.show.keyboard import typed_ahead
from gptcli.show.text import visible
from gptcli.show.transcript import draw_prompt, draw_turns
from gptcli.whole_file import write_whole

HELP = """\
/prompt         the whole prompt, with what has fallen out of the context
/temperature T  choose more boldly (a larger T) or more carefully (a smaller)
/reset          forget what was said
/save FILE      save the conversation as .json, .txt, .html or .svg
/quit           leave (Ctrl-D does it too); Ctrl-C stops an answer
//...           a turn that begins with a slash"""


class Conversation:
    """A chat that is read from stdin and shown on stdout.

    Args:
        chat: what was said.
        model: what the model is called.
        as_json: show each answer as a JSON object instead of its text.
    """

    def __init__(self, chat: Chat, model: str, *, as_json: bool) -> None:
        self._chat, self._model, self._as_json = chat, model, as_json
        self._at_terminal = sys.stdin is not None and sys.stdin.isatty()
        self._shows_names = self._at_terminal and not as_json
        self._console = stdout_console() if stdout_is_terminal() else None
        self._told_fallen = False
        self._commands = {
            "help": lambda _: notice(HELP),
            "prompt": lambda _: stdout_console().print(draw_prompt(chat.prompt())),
            "temperature": self._temperature,
            "reset": lambda _: chat.reset(),
            "save": self.save,
        }

    def run(self, save: Path | None) -> None:
        """Take turns until the input ends or somebody leaves, and then save what was said, where that is wanted.

        Raises:
            KeyboardInterrupt: Ctrl-C, except while an answer comes on a terminal: there it stops the answer.
        """
        try:
            self._take_turns()
        finally:
            if save is not None and self._chat.turns:
                self.save(str(save))

    def _take_turns(self) -> None:
        if self._shows_names:
            notice(f"chatting with {self._model}: /help lists the commands, Ctrl-D leaves")
        for line in self._typed() if self._at_terminal else stdin_lines():
            command, _, rest = line.strip().removeprefix("/").partition(" ")
            if line.strip() in ("/quit", "/exit"):
                return
            try:
                if not line.strip():
                    continue
                if line.startswith("/") and not line.startswith("//"):
                    self._command(command, rest.strip())
                else:
                    self._answer(line[1:] if line.startswith("//") else line)
            except GptcliError as error:
                if not self._at_terminal:
                    raise
                notice(f"error: {error}")

    def _typed(self) -> Iterator[str]:
        """Lines from a person, each asked for; ends with Ctrl-D."""
        with suppress(ImportError):  # not on Windows
            import readline  # noqa: F401  # gives input() a history and line editing

        prompt = f"{visible(self._chat.layout.user, keep='')}: " if self._shows_names else "> "
        on_stdout = self._console is not None
        while True:
            try:
                if not on_stdout:
                    print(prompt, end="", file=sys.stderr, flush=True)
                yield input(prompt if on_stdout else "")
            except EOFError:
                print(file=sys.stdout if on_stdout else sys.stderr)
                return
            except KeyboardInterrupt:
                print(file=sys.stdout if on_stdout else sys.stderr)
                raise
            except UnicodeDecodeError:
                notice("error: that was not UTF-8")

    def _answer(self, text: str) -> None:
        begun = False
        try:
            with Interrupt() as interrupt, typed_ahead(), closing(self._chat.ask(text)) as pieces:
                for piece in pieces:
                    if not begun and self._shows_names:
                        self._write(f"{self._chat.layout.assistant}: ", style="bold")
                    begun = True
                    self._write(piece)
                    interrupt.check()
        except KeyboardInterrupt:
            if not self._at_terminal:
                raise
        finally:
            if begun:
                self._write("\n")
        if self._as_json:
            print_json(self._record(text), indent=None)
        self._tell_fallen()

    def _write(self, text: str, style: str | None = None) -> None:
        if self._as_json:
            return
        write_flowing(self._console, text, style)
        sys.stdout.flush()

    def _tell_fallen(self) -> None:
        if not self._told_fallen and self._chat.prompt().fallen:
            self._told_fallen = True
            notice("the oldest turns have fallen out of the context: /prompt shows what the model still sees")

    def _record(self, text: str) -> dict[str, Any]:
        """What ``--json`` prints of one answer."""
        answer, number = self._chat.turns[-1], sum(turn.role == "assistant" for turn in self._chat.turns) - 1
        return {
            "user": text,
            "assistant": answer.text,
            "ids": answer.ids,
            "logprobs": answer.logprobs,
            "finish_reason": answer.finish_reason,
            "seed": self._chat.seed,
            "sample": number,
        }

    def _command(self, name: str, rest: str) -> None:
        if name not in self._commands:
            raise InputError(f"/{name}: no such command (/help lists them; // begins a turn)")
        self._commands[name](rest)

    def _temperature(self, rest: str) -> None:
        if rest:
            try:
                wanted = float(rest)
            except ValueError:
                raise InputError(f"/temperature {rest}: write a number, such as /temperature 0.7") from None
            self._chat.sampling = self._chat.sampling.changed(temperature=wanted)
        notice(f"temperature {self._chat.sampling.temperature:g}")

    def save(self, file: str) -> None:
        """Save the conversation.

        Raises:
            InputError: the file's name has another ending.
            GptcliError: it cannot be written.
        """
        path = Path(file).expanduser()
        check_file("/save", path)
        if path.suffix.lower() == ".json":
            write_whole(path, json_text(self._whole()))
            notice(f"saved {path}")
        else:
            save_as(path, lambda: draw_turns(self._chat.layout, self._chat.system, self._chat.turns))

    def _whole(self) -> dict[str, Any]:
        chat = self._chat
        about = {"model": self._model, "format": asdict(chat.layout), "system": chat.system, "seed": chat.seed}
        return {**about, "sampling": asdict(chat.sampling), "turns": chat.turns}


def check_file(asked: str, path: Path) -> None:
    """Refuse a name that no conversation can be saved under.

    Raises:
        InputError: its ending is another one, or there is no such folder; ``asked`` says where the name comes from.
    """
    check_save(path, asked, (".json", *SAVE_SUFFIXES))
