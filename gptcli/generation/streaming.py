"""From tokens to text as they come: only whole characters, and nothing that may turn out to be a stop text."""

from collections.abc import Callable, Sequence

from gptcli.tokenizer import StreamDecoder, Tokenizer


class TextStream:
    """The text of one sample as it grows.

    Text that may be the start of a stop text is held back until that is decided, so returned text never changes.

    Args:
        tokenizer: of the model.
        stops: texts that end the sample; they do not become part of it. None of them empty. Where several occur, the
            one that is complete first counts, and of those that end together the longest.
        after: the ids before the first token, where their text is shown.
        prompt: the text of those ids.
        cut: what becomes of a piece before it is handed out: (text, whether it is the last) -> text.

    Attributes:
        text: everything returned so far.
        stopped: whether a stop text occurred.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stops: Sequence[str] = (),
        after: Sequence[int] = (),
        prompt: str = "",
        *,
        cut: Callable[[str, bool], str] | None = None,
    ) -> None:
        self._decoder = StreamDecoder(tokenizer, after if prompt else ())
        # Some tokenizers lose the space at the end of a prompt, and have it again before the next word.
        self._spaced = prompt[-1:].isspace() and not tokenizer.decode(after[-1:])[-1:].isspace()
        self._stops = tuple(stops)
        self._held = ""
        self._cut = cut
        self.text = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """Add a token; returns the text that is now certain, which may be empty."""
        return self._hand_out(self._release(self._held + self._decoded(self._decoder.push(token))))

    def finish(self) -> str:
        """Say that no token follows; returns the rest, with U+FFFD for bytes that are no whole character."""
        released = "" if self.stopped else self._release(self._held + self._decoded(self._decoder.finish()))
        released, self._held = released + self._held, ""
        return self._hand_out(released, last=True)

    def _hand_out(self, text: str, *, last: bool = False) -> str:
        if self._cut is not None:
            text = self._cut(text, last)
        self.text += text
        return text

    def _decoded(self, text: str) -> str:
        if text and self._spaced:
            text, self._spaced = text.removeprefix(" "), False
        return text

    def _release(self, text: str) -> str:
        """Return the text that cannot be part of a stop text, and hold the rest."""
        if self.stopped:
            return ""
        # The stop text that was complete first: how the text is cut into tokens must not matter.
        found = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        self.stopped = bool(found)
        sure = min(found)[1] if found else len(text) - _overlap(text, self._stops)
        self._held = "" if self.stopped else text[sure:]
        return text[:sure]


def _overlap(text: str, stops: Sequence[str]) -> int:
    """Length of the longest end of ``text`` with which a stop text begins."""
    longest = max((len(stop) - 1 for stop in stops), default=0)
    for length in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stops):
            return length
    return 0
