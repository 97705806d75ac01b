"""The vocabulary of a set of word vectors: ``vocab.txt``, one word a line, most frequent first.

The file is mapped, not parsed: a query needs a few words of 100,000, and finding those takes a millisecond.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from gptcli.checkpoint.mapped import map_file
from gptcli.embedding.spelling import nearest_spellings
from gptcli.errors import CheckpointError, InputError


class WordList:
    """Words and their row numbers.

    Args:
        path: the UTF-8 file, one word a line.
        lowercase: whether all its words are lower-case, so that what is looked up is folded too.

    Raises:
        CheckpointError: the file is missing or empty.
    """

    def __init__(self, path: Path, *, lowercase: bool) -> None:
        self.path, self.lowercase = path, lowercase
        try:
            self._text = map_file(path)
        except CheckpointError as error:
            raise CheckpointError(f"cannot read the words of these vectors: {error}") from error

    def __len__(self) -> int:
        return len(self._starts)

    def row(self, word: str) -> int | None:
        """The row of a word, or None; its first where the file has it twice."""
        folded = word.lower() if self.lowercase else word
        for spelling in dict.fromkeys((folded, unicodedata.normalize("NFC", folded))):
            line = spelling.encode(errors="surrogatepass")
            # A line of the file, so not several of them.
            if line and b"\n" not in line and (start := self._find_line(line)) is not None:
                return int(np.searchsorted(self._starts, start))
        return None

    def rows(self, word: str) -> tuple[int, ...]:
        """The rows whose mean stands for a word: here always one.

        Raises:
            InputError: there is no such word; suggests the nearest spellings.
        """
        row = self.row(word)
        if row is None:
            raise InputError(
                f"'{word}' is not among the {len(self):,} words of {self.path.parent.name}{self._advice(word)}"
            )
        return (row,)

    def has(self, word: str) -> bool:
        """Whether a text as a whole is one word."""
        return self.row(word) is not None

    def name(self, row: int) -> str:
        """The word of a row."""
        end = self._starts[row + 1] - 1 if row + 1 < len(self) else len(self._text)
        return bytes(self._text[self._starts[row] : end]).removesuffix(b"\n").decode(errors="backslashreplace")

    def all_words(self, count: int | None = None) -> list[str]:
        """The first ``count`` words (all, without)."""
        words = bytes(self._text).decode(errors="backslashreplace").removesuffix("\n").split("\n")
        return words[:count]

    def keys(self, count: int) -> tuple[Sequence[str], dict[str, int]]:
        """How evaluations know the first ``count`` words: by their upper-case form.

        Returns:
            The key of each row, and the first row of each key.
        """
        keys = [word.upper() for word in self.all_words(count)]
        return keys, {key: row for row, key in reversed(list(enumerate(keys)))}

    @cached_property
    def _starts(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Where each line starts."""
        newlines = np.flatnonzero(np.frombuffer(self._text, np.uint8) == ord("\n"))
        starts = np.concatenate(([0], newlines + 1))
        return starts[:-1] if self._text[-1:] == b"\n" else starts

    def _advice(self, word: str) -> str:
        parts = re.split(r"[\s_+-]+", word)
        if len(parts) > 1 and all(self.has(part) for part in parts):
            return f", but its parts are: try {'+'.join(parts)} with 'gptcli analogy'"
        near = nearest_spellings(word.lower() if self.lowercase else word, self.all_words())
        return f": did you mean {' or '.join(near)}?" if near else ", nor is anything spelled like it"

    def _find_line(self, line: bytes) -> int | None:
        if self._text[: len(line) + 1] in (line, line + b"\n"):
            return 0
        start = self._text.find(b"\n" + line + b"\n")
        if start < 0 and self._text[-len(line) - 1 :] == b"\n" + line:
            start = len(self._text) - len(line) - 1
        return start + 1 if start >= 0 else None
