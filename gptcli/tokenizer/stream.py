"""Ids one at a time to text."""

import codecs
from collections.abc import Sequence

from gptcli.tokenizer.base import Tokenizer


class StreamDecoder:
    """Turns ids into text as they come; a character whose bytes are spread over several tokens appears whole.

    What ``push`` and ``finish`` return, joined, equals ``tokenizer.decode`` of all the ids; or, where they go on after
    others, what their text adds to the text of those.

    Args:
        tokenizer: whose ids they are.
        after: the ids before the first one, whose text is known: a space at its start then belongs to it.
    """

    def __init__(self, tokenizer: Tokenizer, after: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._after = self._context(after)
        self._pending: list[int] = []
        self._known = list(self._after)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def _context(self, ids: Sequence[int]) -> list[int]:
        """The end of some ids that decides what the next one stands for: a whole run of bytes, or one token."""
        if self._tokenizer.bytewise or not ids:
            return []
        start = len(ids) - 1
        while start > 0 and self._tokenizer.is_part(ids[start]):
            start -= 1
        return list(ids[start:])

    def push(self, token: int) -> str:
        """Take one id.

        Returns:
            The characters that it completes; "" when it ends inside one. Bytes that can no longer become a character
            are U+FFFD.

        Raises:
            InputError: the id is not in the vocabulary.
        """
        data = self._tokenizer.token_bytes(token)
        if self._tokenizer.bytewise:
            return self._decoder.decode(data)
        self._pending.append(token)
        # A byte that breaks a run of them breaks all of it: what it was is known when the run is over.
        return "" if self._tokenizer.is_part(token) else self._release()

    def _release(self) -> str:
        before = self._tokenizer.decode(self._known)
        text = self._tokenizer.decode([*self._known, *self._pending])
        self._known, self._pending = self._pending[-1:], []
        same = next((place for place, pair in enumerate(zip(before, text, strict=False)) if pair[0] != pair[1]), None)
        return text[min(len(before), len(text)) if same is None else same :]

    def finish(self) -> str:
        """End the text: an unfinished character comes out as U+FFFD. The decoder is then as new."""
        if self._tokenizer.bytewise:
            rest = self._decoder.decode(b"", final=True)
            self._decoder.reset()
            return rest
        rest = self._release() if self._pending else ""
        self._known = list(self._after)
        return rest
