"""The keys of ``generate --pick``. They come in by name; no terminal is used here."""

from collections.abc import Callable
from typing import Literal

from gptcli.errors import InputError
from gptcli.generation.pick.draft import Draft
from gptcli.probability.choice import Offer

# The mode of the keys: choosing from the list, typing a text, or entering how many tokens to draw.
Mode = Literal["choose", "type", "count"]

DEFAULT_RUN = 10
_ENDED = {
    "eos": "the text has ended",
    "length": "this is as long as it may get (-n says how long)",
    "stop": "the text has ended",
}


class Picker:
    """The state of a person's work on a draft.

    Args:
        draft: the text.

    Attributes:
        draft: as given.
        offer: the candidates for the next token.
        selected: index of the candidate that Enter takes.
        mode: what the keys mean.
        entry: the digits or the text typed so far.
        pending: tokens still to be drawn, one by each ``work``.
        message: about the last key, or empty.
        done: the person quit.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.mode: Mode = "choose"
        self.pending = 0
        self.done = False
        self.message = ""
        self._renew()

    def _renew(self) -> None:
        """Compute the candidates again after a change of the text."""
        self.offer: Offer = self.draft.offer()
        self.selected = 0
        self.entry = ""
        reason = self.draft.sample.finish_reason
        if reason is not None:
            self.message = f"{_ENDED[reason]}: u takes the last token back, q quits"
            self.pending = 0

    def press(self, key: str) -> None:
        """Handle a key.

        Args:
            key: a character, or ``up``, ``down``, ``home``, ``end``, ``enter``, ``backspace``, ``escape``. Unknown ones
                are ignored.
        """
        self.message = ""
        {"choose": self._choose, "type": self._type, "count": self._count}[self.mode](key)

    def work(self) -> None:
        """Draw one of the pending tokens."""
        self.pending -= 1
        self._attempt(self.draft.draw_token)

    def stop(self) -> None:
        """Stop drawing."""
        self.pending = 0

    def _choose(self, key: str) -> None:
        count = len(self.offer.distribution.candidates)
        if key.isdecimal() and key.isascii():
            self._number(key, count)
            return
        self.entry = ""
        if key in ("up", "down", "home", "end"):
            steps = {"up": self.selected - 1, "down": self.selected + 1, "home": 0, "end": count - 1}
            self.selected = steps[key] % count
        elif key in ("u", "backspace"):
            self._undo()
        elif key == "q":
            self.done = True
        elif self.draft.finished:
            self._renew()  # shows the message again
        elif key == "enter":
            self._attempt(lambda: self.draft.pick(self.offer.distribution.candidates[self.selected].id))
        elif key == " ":
            self._attempt(self.draft.draw_token)
        elif key in ("t", "r"):
            self.mode = "type" if key == "t" else "count"

    def _number(self, digit: str, count: int) -> None:
        """Select a candidate by its number, of one digit or two."""
        number = self.entry + digit if 1 <= int(self.entry + digit) <= count else digit
        if 1 <= int(number) <= count:
            self.entry, self.selected = number, int(number) - 1
        else:
            self.entry = ""

    def _undo(self) -> None:
        if not self.draft.origins:
            self.message = "there is nothing to take back"
            return
        self.draft.undo()
        self._renew()

    def _type(self, key: str) -> None:
        if key == "enter":
            text = self.entry
            self._choosing()
            if text:
                self._attempt(lambda: self.draft.type(text))
        else:
            self._edit(key, key.isprintable() and len(key) == 1)

    def _count(self, key: str) -> None:
        if key == "enter":
            self.pending = int(self.entry or DEFAULT_RUN)
            self._choosing()
        else:
            self._edit(key, key.isdecimal() and key.isascii() and len(self.entry) < 5)

    def _edit(self, key: str, goes_in: bool) -> None:
        """A line of input: characters, Backspace, Escape."""
        if key == "escape":
            self._choosing()
        elif key == "backspace":
            self.entry = self.entry[:-1]
        elif goes_in:
            self.entry += key

    def _choosing(self) -> None:
        self.mode, self.entry = "choose", ""

    def _attempt(self, change: Callable[[], None]) -> None:
        """Change the draft; an error becomes the message."""
        try:
            change()
        except InputError as error:
            self.pending = 0
            self._renew()
            self.message = str(error)
        else:
            self._renew()
