"""From tokens to text as they come: only whole characters, and nothing that may turn out to be a stop text."""

from collections.abc import Sequence

from gptcli.tokenizer import StreamDecoder, Tokenizer


class TextStream:
    """The text of one sample as it grows.

    Text that may be the start of a stop text is held back until that is decided, so returned text never changes.

    Args:
        tokenizer: of the model.
        stops: texts that end the sample and are not part of it; none is empty. If several occur, the one that is
            complete first counts, and of those that end together the longest.
        lead: text before the first token's.

    Attributes:
        text: everything returned so far.
        stopped: whether a stop text occurred.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = (), lead: str = "") -> None:
        self._decoder = StreamDecoder(tokenizer)
        self._stops = tuple(stops)
        self._held = ""
        self._lead = lead
        self.text = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """Add a token; returns the text that is now certain, which may be empty."""
        lead, self._lead = self._lead, ""
        return self._release(lead + self._held + self._decoder.push(token))

    def finish(self) -> str:
        """End the stream; returns the rest, with U+FFFD for an incomplete character."""
        if self.stopped:
            return ""
        released = self._release(self._held + self._decoder.finish())
        self.text += self._held
        released, self._held = released + self._held, ""
        return released

    def _release(self, text: str) -> str:
        """Return the text that cannot be part of a stop text, and hold the rest."""
        if self.stopped:
            return ""
        # The stop text that was complete first: how the text is cut into tokens must not matter.
        found = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        self.stopped = bool(found)
        sure = min(found)[1] if found else len(text) - _overlap(text, self._stops)
        self._held = "" if self.stopped else text[sure:]
        self.text += text[:sure]
        return text[:sure]


def _overlap(text: str, stops: Sequence[str]) -> int:
    """Length of the longest end of ``text`` with which a stop text begins."""
    longest = max((len(stop) - 1 for stop in stops), default=0)
    for length in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stops):
            return length
    return 0
