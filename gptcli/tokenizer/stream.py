"""Ids one at a time to text."""

import codecs

from gptcli.tokenizer.bpe import Tokenizer


class StreamDecoder:
    """Turns ids into text as they come; a character whose bytes are spread over several tokens appears whole.

    What ``push`` and ``finish`` return, joined, equals ``tokenizer.decode`` of all the ids.

    Args:
        tokenizer: whose ids they are.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """Take one id.

        Returns:
            The characters that it completes; "" when it ends inside one. Bytes that can no longer become a character
            are U+FFFD.

        Raises:
            InputError: the id is not in the vocabulary.
        """
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """End the text: an unfinished character comes out as U+FFFD. The decoder is then as new."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest
