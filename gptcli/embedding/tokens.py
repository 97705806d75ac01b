"""The vocabulary of a GPT's embedding: tokens, which are words, parts of words, and bytes."""

from collections.abc import Sequence
from typing import Protocol

from gptcli.errors import InputError
from gptcli.text import clipped


class Tokenizer(Protocol):
    """What is needed of a tokenizer. Its ids are below ``n_vocab``; an embedding may have more rows."""

    @property
    def n_vocab(self) -> int:
        """Every id is below this number."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a token."""
        ...


class TokenList:
    """Tokens and their ids.

    Args:
        tokenizer: cuts words into tokens.
        count: rows of the embedding.
        leading_space: look a word up as it stands inside a sentence, with a space before it.
    """

    def __init__(self, tokenizer: Tokenizer, count: int, *, leading_space: bool) -> None:
        self.tokenizer, self.count, self.leading_space = tokenizer, count, leading_space

    def __len__(self) -> int:
        return self.count

    def rows(self, word: str) -> tuple[int, ...]:
        """The ids of a word's tokens; the mean of their rows is its vector.

        Raises:
            InputError: the word is empty, or has a token without a row in the embedding.
        """
        if not word.strip():
            raise InputError("there is no word to look up")
        spaced = f" {word}" if self.leading_space and not word[0].isspace() else word
        ids = tuple(self.tokenizer.encode(spaced))
        if not ids or max(ids) >= self.count:
            beyond = f"a token ({max(ids, default=0)}) beyond the embedding's {self.count:,} rows"
            raise InputError(f"'{clipped(word)}' has {beyond}")
        return ids

    def has(self, word: str) -> bool:
        """Whether a text as a whole is one token."""
        return bool(word.strip()) and len(self.rows(word)) == 1

    def name(self, row: int) -> bytes:
        """The bytes of a token; a placeholder for a row without one."""
        known = self.tokenizer.token_bytes(row) if row < self.tokenizer.n_vocab else b""
        return known or f"<unused {row}>".encode()

    def keys(self, count: int) -> tuple[Sequence[str], dict[str, int]]:
        """The keys of the first ``count`` tokens for evaluations: their upper-case text, without a leading space.

        Returns:
            The key of each row, and the row that each key is looked up as: its first with the leading space where
            that is asked for, else its first without.
        """
        texts = [self.name(row).decode(errors="backslashreplace") for row in range(min(count, self.count))]
        keys = [text.removeprefix(" ").upper() for text in texts]
        first: dict[str, int] = {}
        for row, (text, key) in enumerate(zip(texts, keys, strict=True)):
            if text.startswith(" ") == self.leading_space:
                first.setdefault(key, row)
        return keys, first
