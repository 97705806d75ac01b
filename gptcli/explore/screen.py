"""What the keys and the mouse do: the state changes, the model is asked, and the board is drawn when it has answered.

Nothing here waits for a model, and nothing knows Textual: ``app`` gives it keys, a clock and a place to draw.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gptcli.errors import GptcliError
from gptcli.explore import keys
from gptcli.explore.answer import Answer, Answers, Question
from gptcli.explore.document import Document
from gptcli.explore.inside import Inside
from gptcli.explore.picture import Action, Picture
from gptcli.explore.saving import save_page, save_screen
from gptcli.explore.state import Part, State, part_name
from gptcli.explore.views import VIEWS, board
from gptcli.explore.views import text as text_view
from gptcli.explore.views.scene import Scene, View
from gptcli.explore.worker import Worker
from gptcli.sampling.settings import Sampling
from gptcli.show.tour import Stop
from gptcli.text import clipped

if TYPE_CHECKING:
    from rich.console import Console

    from gptcli.checkpoint.open import OpenCheckpoint

# The most characters that are pasted at once.
_MOST_PASTED = 100_000
# Seconds between tokens that are drawn one after the other.
_STEP_S = 0.08
# Seconds after which what has not come is drawn as late.
_LATE_S = 0.2


class Host(Protocol):
    """What the screen needs from the terminal's program."""

    def redraw(self) -> None:
        """Draw the board again, at once."""

    def redraw_soon(self) -> None:
        """Draw it when an answer has come, or else soon."""

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something in a while."""

    def from_thread(self, call: Callable[[], None]) -> None:
        """Call something in the thread of the screen; it may be closed."""

    def leave(self, code: int) -> None:
        """End the program."""

    def show_help(self) -> None:
        """Show all keys."""

    def show_tour(self, stop: Stop) -> None:
        """Show the words of a stop of the tour."""


@dataclass(frozen=True)
class Setup:
    """What the program starts with.

    Attributes:
        checkpoint: the model.
        text: to explore.
        sampling: temperature, top-k and top-p.
        seed: of the draws.
        words: the stops of the tour, by title.
        editing: whether keys type at first.
    """

    checkpoint: "OpenCheckpoint"
    text: str
    sampling: Sampling
    seed: int
    words: Mapping[str, Stop]
    editing: bool = False


class Explorer:
    """The program without its terminal.

    Args:
        setup: what it starts with.
        host: draws, waits and ends.
        console: for pictures.
    """

    def __init__(self, setup: Setup, host: Host, console: "Console") -> None:
        checkpoint = setup.checkpoint
        self._setup, self._host, self._console = setup, host, console
        document = Document(checkpoint.tokenizer, checkpoint.encode_prompt)
        document.replace(setup.text)
        config = checkpoint.config
        self.state = State(document, config.n_layer, config.n_head, setup.sampling, editing=setup.editing)
        self.state.layer = config.n_layer // 2
        self._inside = Inside(checkpoint)
        self._answers = Answers(
            checkpoint.another_engine(), self._changed_engine, checkpoint.tokenizer, checkpoint.n_vocab
        )
        self._generator = np.random.Generator(np.random.Philox(key=setup.seed))
        self._reading = Worker("reading", host.from_thread)
        self._looking = Worker("looking inside", host.from_thread)
        self._saving = Worker("saving", host.from_thread)
        self._answer: Answer | None = None
        self._asked: Question | None = None
        self._wanted: tuple[str, Any] | None = None
        self._found: dict[str, tuple[Any, Any]] = {}  # by view: what was wanted, and what came
        self._problem = self.message = ""
        self._late_since: float | None = None
        self._runs = count()
        self._run = 0
        self.picture = Picture()

    def start(self) -> None:
        """Ask for the first answers."""
        self.ask()

    def stop(self) -> None:
        """End the threads."""
        self.state.running = False
        for worker in (self._reading, self._looking, self._saving):
            worker.stop()

    # What is drawn

    @property
    def scene(self) -> Scene:
        """What the pictures see."""
        checkpoint = self._setup.checkpoint
        return Scene(self.state, checkpoint.config, checkpoint.tokenizer, self._answer, self._console)

    @property
    def view(self) -> View:
        """The tab that is open."""
        return next(each for each in VIEWS if each.name == self.state.view)

    @property
    def question(self) -> Question | None:
        """What the screen wants to know; None without tokens."""
        scene = self.scene
        return Question(scene.ids, scene.cursor, self.state.sampling, self.state.out) if scene.ids else None

    @property
    def late(self) -> bool:
        """Whether what is shown of the text is an earlier answer."""
        return self._answer is None or self._answer.asked != self.question

    @property
    def view_late(self) -> bool:
        """Whether what the view shows is of earlier choices."""
        wanted = self.view.wants(self.scene)
        return wanted is not None and self._found.get(self.state.view, (None, None))[0] != wanted

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return not (self._reading.idle and self._looking.idle and self._saving.idle)

    def draw(self, width: int, height: int) -> Picture:
        """The board, in exactly so many lines."""
        checkpoint = self._setup.checkpoint
        config = checkpoint.config
        long_late = self._late_since is not None and monotonic() - self._late_since >= _LATE_S
        shown = board.Shown(
            clipped(checkpoint.name, 40),
            f"· {config.n_layer} layers of {config.n_head} heads, width {config.n_embd:,}",
            self._found.get(self.state.view, (None, None))[1],
            long_late and self.late and self.question is not None,
            long_late and self.view_late,
            self.message,
            self._problem,
        )
        self.picture = board.draw(self.scene, shown, width, height)
        return self.picture

    # Questions to the model

    def _notice_lateness(self) -> None:
        """Draw again when what is wanted has not come for a while; what comes at once is never drawn as late."""
        if not (self.late and self.question is not None) and not self.view_late:
            self._late_since = None
        elif self._late_since is None:
            since = self._late_since = monotonic()
            self._host.later(_LATE_S * 1.1, lambda: self._draw_late(since))

    def _draw_late(self, since: float) -> None:
        if self._late_since == since:
            self._host.redraw()

    def ask(self) -> None:
        """Ask for what the screen wants to know and does not have."""
        question = self.question
        if question is None:
            self._asked = None
            self._reading.forget()
        elif self.late and self._asked != question:
            self._asked = question
            self._reading.ask(lambda: self._answers.answer(question), self._answered)
        self._look()
        self._notice_lateness()
        self._host.redraw_soon()

    def _answered(self, answer: Any, failure: BaseException | None) -> None:
        self._asked = None
        if failure is not None:
            self._failed(failure)
        else:
            self._answer = answer
        self._look()
        self._notice_lateness()
        self._host.redraw_soon()

    def _look(self) -> None:
        """Ask for what the view wants, unless it is there or on its way."""
        view, wanted = self.view, self.view.wants(self.scene)
        if wanted is None or not self.view_late:
            self._wanted = None
            self._looking.forget()
            return
        if self._wanted == (view.name, wanted):
            return
        self._wanted, self._problem = (view.name, wanted), ""
        self._looking.ask(
            lambda: view.compute(self._inside, wanted),
            lambda found, failure: self._seen(view.name, wanted, found, failure),
        )

    def _seen(self, name: str, wanted: Any, found: Any, failure: BaseException | None) -> None:
        self._wanted = None
        if failure is not None:
            self._problem = _said(failure)
        self._found[name] = (wanted, found)
        self._look()
        self._notice_lateness()
        self._host.redraw_soon()

    def _failed(self, failure: BaseException) -> None:
        """A model that cannot read the text says so; anything else ends the program."""
        self.state.running = False
        self.message = _said(failure)

    def _changed_engine(self, out: frozenset[Part]) -> Any:
        return self._inside.changes(out).engine(self._setup.checkpoint.model)

    # Keys and mouse

    def press(self, name: str, character: str | None) -> bool:
        """Do what a key does; False where it does nothing."""
        self.message = ""
        if self.state.running and name not in ("ctrl+c", "ctrl+q"):
            self._stop_running()
            return True
        action = keys.found(keys.EDITING if self.state.editing else keys.WALKING, name, character)
        if action is None and self.state.editing and character is not None and character.isprintable():
            action = ("type", character)
        if action is None:
            view = next((each for each in VIEWS if character == each.key), None)
            if view is None or self.state.editing:
                return False
            action = ("view", view.name)
        self.act(action)
        return True

    def click(self, column: int, row: int) -> None:
        """Do what stands at a place of the board."""
        action = self.picture.at(column, row)
        if action is not None:
            self.message = ""
            self._stop_running()
            self.act(action)

    def scroll(self, steps: int) -> None:
        """The wheel: the token before, or the next one."""
        self.act(("move", steps))

    def paste(self, pasted: str) -> None:
        """Put in a text from the clipboard."""
        self.message = ""
        self._stop_running()
        if not self.state.editing:
            self.act(("edit",))
        if len(pasted) > _MOST_PASTED:
            self.message = f"the first {_MOST_PASTED:,} of {len(pasted):,} characters"
        self.act(("type", pasted[:_MOST_PASTED].replace("\r\n", "\n").replace("\r", "\n")))

    def act(self, action: Action) -> None:
        """Do one of the actions of ``keys`` or of a place on the board, and ask what that changed."""
        name, *arguments = action
        getattr(self, f"do_{name}")(*arguments)
        self.ask()

    # Actions: the text

    def do_edit(self) -> None:
        """Keys type from now on, at the end of the text or at the cursor's end."""
        document = self.state.document
        document.keep()
        self.state.editing = True
        starts = document.char_starts()
        if starts is not None and document.now.ids and not document.now.error:
            cursor = document.now.cursor
            document.move_caret(starts[cursor + 1])
            document.move_cursor(cursor)

    def do_walk(self) -> None:
        """Keys act from now on."""
        self.state.editing = False

    def do_type(self, typed: str) -> None:
        """Type at the caret."""
        self.state.document.insert(typed)

    def do_caret(self, steps: int) -> None:
        """Move the caret by characters."""
        self.state.document.move_caret(self.state.document.now.caret + steps)

    def do_caret_to(self, end: int) -> None:
        """Move the caret to the beginning, or (-1) the end."""
        self.state.document.move_caret(0 if end == 0 else len(self.state.document.now.text))

    def do_caret_word(self, direction: int) -> None:
        """Move the caret by a word."""
        document = self.state.document
        document.move_caret(document.word_left() if direction < 0 else document.word_right())

    def do_caret_line(self, lines: int) -> None:
        """Move the caret to the line above or below, about as far from its beginning."""
        document = self.state.document
        token = text_view.step_line(self.scene, max(self._width - 2, 1), lines)
        starts = document.char_starts()
        if starts is not None and token + 1 < len(starts):
            document.move_caret(starts[token + 1])

    def do_erase(self, steps: int) -> None:
        """Delete a character before or behind the caret."""
        caret = self.state.document.now.caret
        self.state.document.erase(min(caret, caret + steps), max(caret, caret + steps))

    def do_erase_word(self) -> None:
        """Delete the word before the caret."""
        self.state.document.erase(self.state.document.word_left(), self.state.document.now.caret)

    def do_erase_to(self, end: int) -> None:
        """Delete everything before, or (-1) behind the caret."""
        document = self.state.document
        caret = document.now.caret
        document.erase(*((0, caret) if end == 0 else (caret, len(document.now.text))))

    def do_undo(self) -> None:
        """Bring back the text as it was."""
        if not self.state.document.undo():
            self.message = "there is nothing to undo"

    def do_point(self, token: int, place: int | None) -> None:
        """Look at a token, or put the caret there."""
        document = self.state.document
        if self.state.editing and place is not None:
            document.move_caret(place)
        else:
            document.move_cursor(token)

    def do_move(self, steps: int) -> None:
        """Look at the token before or behind."""
        self.state.document.move_cursor(self.scene.cursor + steps)

    def do_move_to(self, end: int) -> None:
        """Look at the first, or (-1) the last token."""
        self.state.document.move_cursor(0 if end == 0 else len(self.scene.ids) - 1)

    # Actions: the next token

    def do_best(self) -> None:
        """Take the most probable token after the cursor."""
        self._choose(lambda question: self._answers.answer(question).distribution.candidates[0].id)

    def do_complete(self) -> None:
        """While typing: put in the most probable token at the caret."""
        document = self.state.document
        if document.now.caret >= len(document.now.text):
            return self.do_best()
        question = self.question
        if question is None:
            return
        caret, version = document.now.caret, document.now

        def put(token: Any, failure: BaseException | None) -> None:
            if failure is not None:
                self._failed(failure)
            elif document.now == version:
                document.replace(
                    version.text[:caret] + document.tokenizer.decode([token]) + version.text[caret:],
                    caret + len(document.tokenizer.decode([token])),
                )
            self.ask()

        self._reading.ask(lambda: self._answers.answer(question).distribution.candidates[0].id, put)

    def do_rank(self, rank: int) -> None:
        """Take the token of a rank, of those that are shown."""
        answer = self._answer
        if answer is None or self.late:
            self.message = "the list is of an earlier text: wait until it has come"
        elif rank <= len(answer.distribution.candidates):
            self._take(answer.distribution.candidates[rank - 1].id)

    def do_take(self, token: int) -> None:
        """Take a token of the list."""
        if not self.late:
            self._take(token)

    def do_draw(self) -> None:
        """Draw the token after the cursor."""
        self._choose(lambda question: self._answers.draw(question, self._generator))

    def do_run(self) -> None:
        """Draw one token after another."""
        self.state.document.move_cursor(len(self.scene.ids) - 1)
        self.state.document.keep()
        self.state.running = True
        self._run = next(self._runs)
        self._step(self._run)

    def _stop_running(self) -> None:
        if self.state.running:
            self.state.running = False
            self._reading.forget()
            self._asked = None
            self.ask()

    def _step(self, run: int) -> None:
        """One token of a run, unless that was stopped."""
        question = self.question
        if not self.state.running or run != self._run or question is None:
            return

        def drawn(token: Any, failure: BaseException | None) -> None:
            if failure is not None:
                self._failed(failure)
            elif self.state.running and run == self._run and not self._full():
                self.state.document.take(token)
                if token in self._setup.checkpoint.eos_ids:
                    self.state.running = False
                    self.message = "the model has ended the text"
                elif len(self.scene.ids) >= self.scene.config.n_positions:
                    self._full()
                self._host.later(_STEP_S, lambda: self._step(run))
            self.ask()

        self._asked = None
        self._reading.ask(lambda: self._answers.draw(question, self._generator), drawn)

    def _choose(self, chosen: Callable[[Question], int]) -> None:
        """Have a token chosen behind the screen, and take it."""
        question = self.question
        if question is None or self._full(question.cursor + 1):
            return

        def done(token: Any, failure: BaseException | None) -> None:
            if failure is not None:
                self._failed(failure)
            elif question == self.question:
                self._take(token)
            self.ask()

        self._asked = question  # the same thread: the answer comes with what is asked next
        self._reading.ask(lambda: chosen(question), done)

    def _take(self, token: int) -> None:
        """Put a token behind the cursor's; what followed is cut off."""
        if self._full(self.scene.cursor + 1):
            return
        self._asked = None
        self.state.document.keep()
        cut = self.state.document.take(token, self.scene.cursor)
        if cut:
            self.message = (
                f"{cut:,} token{'s' * (cut > 1)} behind it cut off: u brings {'them' if cut > 1 else 'it'} back"
            )

    def _full(self, length: int | None = None) -> bool:
        """Whether the context is full; says so."""
        most = self._setup.checkpoint.config.n_positions
        if (len(self.state.document.now.ids) if length is None else length) < most:
            return False
        self.state.running = False
        self.message = f"the context is full: the model reads {most:,} tokens"
        return True

    # Actions: what is looked at

    def do_layers(self, steps: int) -> None:
        """Go some layers on."""
        self.state.choose_layer(self.state.layer + steps)

    def do_layer(self, layer: int) -> None:
        """Go to a layer."""
        self.state.choose_layer(layer)

    def do_heads(self, steps: int) -> None:
        """Go some heads on."""
        self.state.choose_head(self.state.head + steps)

    def do_head(self, layer: int, head: int) -> None:
        """Go to a head."""
        self.state.choose_layer(layer)
        self.state.choose_head(head)

    def do_view(self, name: str) -> None:
        """Open a tab."""
        self.state.view, self._problem = name, ""

    def do_next_view(self) -> None:
        """Open the tab after this one."""
        names = [view.name for view in VIEWS]
        self.do_view(names[(names.index(self.state.view) + 1) % len(names)])

    def do_warmer(self, steps: int) -> None:
        """Turn the temperature."""
        self.state.warmer(steps)

    def do_top_k(self, steps: int) -> None:
        """Turn top-k."""
        self.state.more_candidates(steps)

    def do_top_p(self, steps: int) -> None:
        """Turn top-p."""
        self.state.more_probability(steps)

    def do_reset(self) -> None:
        """The model's own distribution."""
        self.state.sampling = Sampling()

    def do_toggle_head(self) -> None:
        """Take the head out, or put it back."""
        self.do_toggle(self.state.layer, self.state.head)

    def do_toggle_mlp(self) -> None:
        """Take the layer's MLP out, or put it back."""
        self.do_toggle(self.state.layer, None)

    def do_toggle(self, layer: int, head: int | None) -> None:
        """Take a part out, or put it back."""
        if not self.state.n_layer:
            return
        self.state.toggle((layer, head))
        gone = (layer, head) in self.state.out
        self.message = f"{part_name((layer, head))} is {'out: O puts all back' if gone else 'back'}"

    def do_whole(self) -> None:
        """Put all parts back."""
        self.state.out = frozenset()

    # Actions: the rest

    def do_save(self) -> None:
        """Save the page of the text."""
        checkpoint, text, sampling = self._setup.checkpoint, self.state.document.now.text, self.state.sampling
        self.message = "saving the page ..."

        def saved(path: Any, failure: BaseException | None) -> None:
            self.message = f"saved {path}" if failure is None else _said(failure)
            self._host.redraw()

        self._saving.ask(lambda: save_page(checkpoint, text, sampling), saved)

    def do_save_screen(self) -> None:
        """Save the screen as a picture."""
        try:
            self.message = f"saved {save_screen(self.picture.lines, f'gptcli explore: {self._setup.checkpoint.name}')}"
        except (GptcliError, OSError) as error:
            self.message = _said(error)

    def do_tour(self) -> None:
        """The tour's words about the view."""
        stop = self._setup.words.get(self.view.stop)
        if stop is not None:
            self._host.show_tour(stop)

    def do_help(self) -> None:
        """All keys."""
        self._host.show_help()

    def do_leave(self) -> None:
        """Quit."""
        self._host.leave(0)

    def do_interrupt(self) -> None:
        """Quit as Ctrl-C does."""
        self._host.leave(130)

    _width = 80

    def resized(self, width: int) -> None:
        """The board has another width."""
        self._width = width


def _said(failure: BaseException) -> str:
    """An error on one line."""
    if isinstance(failure, GptcliError):
        return " ".join(str(failure).split())
    if isinstance(failure, ModuleNotFoundError) and failure.name == "torch":
        return "torch is not installed, and this needs it: pip install torch"
    return f"{type(failure).__name__}: {clipped(str(failure))}"
