"""Decodes ids to text one at a time."""

import codecs
from collections.abc import Sequence

from gptcli.tokenizer.base import Tokenizer


class StreamDecoder:
    """Decodes ids as they arrive; a character whose bytes are spread over several tokens is returned whole.

    The joined results of ``push`` and ``finish`` equal ``tokenizer.decode`` of all the ids. If there are ids before
    them (``after``), the results equal the text that the new ids add.

    Args:
        tokenizer: the tokenizer of the ids.
        after: the ids before the first one; a space at the start of the first one is then kept.
    """

    def __init__(self, tokenizer: Tokenizer, after: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._after = self._context(after)
        self._pending: list[int] = []
        self._known = list(self._after)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def _context(self, ids: Sequence[int]) -> list[int]:
        """The last ids that affect the text of the next one: a whole run of byte tokens, or one token."""
        if self._tokenizer.bytewise or not ids:
            return []
        start = len(ids) - 1
        while start > 0 and self._tokenizer.is_part(ids[start]):
            start -= 1
        return list(ids[start:])

    def push(self, token: int) -> str:
        """Add one id.

        Returns:
            The characters that it completes; "" if it ends inside one. Bytes that can no longer become a character are
            U+FFFD.

        Raises:
            InputError: the id is not in the vocabulary.
        """
        data = self._tokenizer.token_bytes(token)
        if self._tokenizer.bytewise:
            return self._decoder.decode(data)
        self._pending.append(token)
        # An invalid byte makes its whole run of byte tokens invalid, so the text of a run is only known at its end.
        return "" if self._tokenizer.is_part(token) else self._release()

    def _release(self) -> str:
        before = self._tokenizer.decode(self._known)
        text = self._tokenizer.decode([*self._known, *self._pending])
        self._known, self._pending = self._pending[-1:], []
        same = next((place for place, pair in enumerate(zip(before, text, strict=False)) if pair[0] != pair[1]), None)
        return text[min(len(before), len(text)) if same is None else same :]

    def finish(self) -> str:
        """End the text: an unfinished character becomes U+FFFD. The decoder is then reset."""
        if self._tokenizer.bytewise:
            rest = self._decoder.decode(b"", final=True)
            self._decoder.reset()
            return rest
        rest = self._release() if self._pending else ""
        self._known = list(self._after)
        return rest
