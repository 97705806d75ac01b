"""``gptcli chat``: a conversation in a terminal, or line by line through a pipe."""

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from textwrap import wrap

from gptcli.checkpoint.chat_templates import DEFAULT
from gptcli.errors import GptcliError, InputError
from gptcli.generation.chat.conversation import Chat
from gptcli.generation.chat.scenes import Scene
from gptcli.generation.chat.template import TemplateLayout
from gptcli.generation.chat.thinking import AnswerOnly, split_thinking
from gptcli.generation.records import AnswerRecord, ChatRecord
from gptcli.show.blocks.palette import series
from gptcli.show.terminal.background import typed_before
from gptcli.show.terminal.console import (
    SAVE_SUFFIXES,
    check_save,
    json_text,
    print_json,
    save_as,
    stdout_console,
    stdout_is_terminal,
)
from gptcli.show.terminal.flow import Flow
from gptcli.show.terminal.interrupt import Interrupt
from gptcli.show.terminal.keyboard import typed_ahead
from gptcli.show.transcript import draw_prompt, draw_turns
from gptcli.system.notices import notice
from gptcli.system.whole_file import write_whole
from gptcli.text import clipped, visible

HELP = """\
/prompt         the whole prompt, with what has fallen out of the context
/system TEXT    change what stands before the first turn
/thinking on    have the model think before it answers, or not (off)
/temperature T  choose more boldly (a larger T) or more carefully (a smaller)
/reset          forget what was said
/scene          play a part in a story, as the model's own scene has it
/save FILE      save the conversation as .json, .txt, .html or .svg
/quit           leave (Ctrl-D does it too); Ctrl-C stops an answer
//...           a turn that begins with a slash"""


class Conversation:
    """A chat that is read from stdin and shown on stdout.

    Args:
        chat: the conversation.
        model: the model's name.
        lines: the lines of the input if stdin is not a terminal.
        as_json: print each answer as a JSON object instead of its text.
        hide_thinking: leave the thinking out of the answers.
        scene: what to offer where nobody has said yet who is who.
    """

    def __init__(
        self,
        chat: Chat,
        model: str,
        lines: Iterable[str],
        *,
        as_json: bool = False,
        hide_thinking: bool = False,
        scene: Scene | None = None,
        changes: list[str] | None = None,
    ) -> None:
        self._chat, self._model, self._lines, self._as_json = chat, model, lines, as_json
        self._hide_thinking, self._scene, self._changes = hide_thinking, scene, changes
        self._at_terminal = sys.stdin is not None and sys.stdin.isatty()
        self._shows_names = self._at_terminal and not as_json
        self._console = stdout_console() if stdout_is_terminal() else None
        self._flow = Flow(self._console)
        self._told_fallen = False
        self._commands = {
            "help": lambda _: notice(self._help()),
            "prompt": lambda _: stdout_console().print(draw_prompt(chat.prompt())),
            "system": self._system,
            "thinking": self._thinking,
            "temperature": self._temperature,
            "reset": lambda _: chat.reset(),
            "scene": lambda _: self._begin_scene(),
            "save": self.save,
        }

    def _help(self) -> str:
        """The help on commands, without those that this model has no use for."""
        layout = self._chat.layout
        useless = [] if isinstance(layout, TemplateLayout) and layout.can_switch_thinking else ["/thinking"]
        useless += [] if self._scene else ["/scene"]
        return "\n".join(line for line in HELP.splitlines() if line.split(" ")[0] not in useless)

    def _begin_scene(self) -> None:
        if self._scene is None:
            raise InputError("/scene: this model has no scene of its own, or you have set one (/reset begins again)")
        self._chat.begin_scene(self._scene)
        notice("\n".join(wrap(self._scene.system, stdout_console().width)))

    def run(self, save: Path | None) -> None:
        """Run the conversation until the input ends or the user quits, then save it if ``save`` is given.

        Raises:
            KeyboardInterrupt: Ctrl-C, except while an answer streams to a terminal: then it stops only the answer.
        """
        try:
            self._take_turns()
        finally:
            if save is not None and self._chat.turns:
                self.save(str(save))

    def _take_turns(self) -> None:
        if self._shows_names:
            notice(f"chatting with {self._model}, {self._manner()}\n/help lists the commands, Ctrl-D leaves")
            if self._scene is not None:
                notice(f"it tells stories, and knows no answers\nEnter begins a scene: {self._scene.about}")
        for line in self._typed() if self._at_terminal else self._lines:
            command, _, rest = line.strip().removeprefix("/").partition(" ")
            if line.strip() in ("/quit", "/exit"):
                return
            try:
                if not line.strip():
                    if self._scene is not None and self._shows_names and not self._chat.turns:
                        self._begin_scene()
                    continue
                if line.startswith("/") and not line.startswith("//"):
                    self._command(command, rest.strip())
                else:
                    self._answer(line[1:] if line.startswith("//") else line)
            except GptcliError as error:
                if not self._at_terminal:
                    raise
                notice(f"error: {error}")

    def _manner(self) -> str:
        """A description of how turns become a prompt."""
        layout = self._chat.layout
        if isinstance(layout, TemplateLayout):
            name = layout.template.name
            return "by its own chat template" + ("" if name == DEFAULT else f" '{clipped(name)}'")
        return "as a script" if layout.kind == "script" else "by turns between end-of-text tokens"

    def _typed(self) -> Iterator[str]:
        """The lines that the user types, each after a prompt; ends with Ctrl-D."""
        with suppress(ImportError):  # not on Windows
            import readline  # noqa: F401  # gives input() a history and line editing

        on_stdout = self._console is not None
        while True:
            try:
                prompt = f"{visible(self._chat.layout.user, keep='')}: " if self._shows_names else "> "
                if not on_stdout:
                    print(prompt, end="", file=sys.stderr, flush=True)
                yield self._line(prompt) if on_stdout else input()
            except EOFError:
                print(file=sys.stdout if on_stdout else sys.stderr)
                return
            except KeyboardInterrupt:
                print(file=sys.stdout if on_stdout else sys.stderr)
                raise
            except UnicodeDecodeError:
                notice("error: that was not UTF-8")

    def _line(self, prompt: str) -> str:
        """A line that is typed, in the colour of the one who types."""
        begin, end = self._colour()
        if typed_before and "readline" in sys.modules:  # while the terminal was asked for its background
            readline, typed = sys.modules["readline"], typed_before.pop(0)
            readline.set_startup_hook(lambda: readline.set_startup_hook(None) or readline.insert_text(typed))
        try:
            # readline must know which characters of its prompt have no width.
            return input(f"\x01{begin}\x02{prompt}" if begin and "readline" in sys.modules else begin + prompt)
        finally:
            sys.stdout.write(end)
            sys.stdout.flush()
            self._flow.begin_line()

    def _colour(self) -> tuple[str, str]:
        """What begins and ends the colour of typed lines; nothing without colours."""
        console = self._console
        if console is None or console.no_color or not console.color_system:
            return "", ""
        with console.capture() as captured:
            console.print("|", style=series(0), end="")
        begin, _, end = captured.get().partition("|")
        return begin, end

    def _answer(self, text: str) -> None:
        begun = False
        try:
            with Interrupt() as interrupt, typed_ahead(), closing(self._shown(text)) as pieces:
                for piece, thinking in pieces:
                    if not begun and self._shows_names:
                        self._write(f"{self._chat.layout.assistant}: ", style=f"bold {series(1)}")
                    begun = True
                    self._write(piece, style="dim" if thinking else None)
                    interrupt.check()
        except KeyboardInterrupt:
            if not self._at_terminal:
                raise
        finally:
            if begun:
                self._write("\n")
        if not begun:
            self._write("\n")  # in a pipe each answer ends with a newline
        if self._as_json:
            print_json(self._record(text), indent=None)
        self._tell_fallen()

    def _shown(self, text: str) -> Generator[tuple[str, bool], None, None]:
        """The pieces of the answer, each with whether it is thinking; hidden pieces are empty."""
        shown = AnswerOnly(begun=False, hide=self._hide_thinking).shown
        with closing(self._chat.answer(text)) as pieces:
            for piece, thinking in pieces:
                yield shown(piece, thinking), thinking

    def _write(self, text: str, style: str | None = None) -> None:
        if self._as_json:
            return
        self._flow.write(text, style)
        sys.stdout.flush()

    def _tell_fallen(self) -> None:
        if not self._told_fallen and self._chat.prompt().fallen:
            self._told_fallen = True
            notice("the oldest turns have fallen out of the context: /prompt shows what the model still sees")

    def _record(self, text: str) -> AnswerRecord:
        """The object that ``--json`` prints for an answer."""
        answer, number = self._chat.turns[-1], sum(turn.role == "assistant" for turn in self._chat.turns)
        thinking, said = split_thinking(answer.text, begun=self._chat.asked.mid_thought)
        return AnswerRecord(
            model=self._model,
            user=text,
            assistant=said,
            ids=answer.ids,
            logprobs=answer.logprobs,
            finish_reason=answer.finish_reason,
            seed=self._chat.seed,
            sample=number,
            thinking=thinking,
            changes=self._changes,
        )

    def _command(self, name: str, rest: str) -> None:
        if name not in self._commands:
            raise InputError(f"/{clipped(name)}: no such command (/help lists them; // begins a turn)")
        self._commands[name](rest)

    def _system(self, rest: str) -> None:
        """Change the system text; ``""`` makes it empty."""
        if rest:
            self._chat.set_system("" if rest in ('""', "''") else rest)
        system = self._chat.system
        notice("no system text of yours: the template may have its own" if system is None else f"system: {system}")

    def _thinking(self, rest: str) -> None:
        layout = self._chat.layout
        if not isinstance(layout, TemplateLayout) or not layout.can_switch_thinking:
            raise InputError("/thinking: this model has no chat template that asks whether to think first")
        if rest not in ("on", "off", ""):
            raise InputError(f"/thinking {clipped(rest)}: write /thinking on or /thinking off")
        if rest:
            layout.thinking = rest == "on"
        notice("thinking " + {None: "as the template has it", True: "on", False: "off"}[layout.thinking])

    def _temperature(self, rest: str) -> None:
        if rest:
            try:
                wanted = float(rest)
            except ValueError:
                raise InputError(f"/temperature {clipped(rest)}: write a number, such as /temperature 0.7") from None
            self._chat.sampling = self._chat.sampling.changed(temperature=wanted)
        notice(f"temperature {self._chat.sampling.temperature:g}")

    def save(self, file: str) -> None:
        """Save the conversation.

        Raises:
            InputError: the file's extension is not supported.
            GptcliError: the file cannot be written.
        """
        path = Path(file).expanduser()
        check_file("/save", path)
        if path.suffix.lower() == ".json":
            write_whole(path, json_text(self._whole()))
            notice(f"saved {path}")
        else:
            save_as(path, lambda: draw_turns(self._chat.layout, self._chat.system, self._chat.turns))

    def _whole(self) -> ChatRecord:
        chat = self._chat
        return ChatRecord(self._model, chat.layout.facts(), chat.system, chat.seed, chat.sampling, chat.turns)


def check_file(asked: str, path: Path) -> None:
    """Refuse a file name that a conversation cannot be saved under.

    Raises:
        InputError: its extension is not supported, or its folder does not exist; ``asked`` says which option or command
            gave the name.
    """
    check_save(path, asked, (".json", *SAVE_SUFFIXES))
