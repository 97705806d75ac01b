"""The vocabulary of a set of word vectors: ``vocab.txt``, one word a line, most frequent first.

The file is mapped, not parsed: a query needs a few of 100,000 words, and finding them takes a millisecond.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from gptcli.checkpoint.files.mapped import map_file
from gptcli.embedding.spelling import nearest_spellings
from gptcli.errors import CheckpointError, InputError
from gptcli.text import clipped

# Up to this many words are searched one by one; for more, a table of all words is faster but takes megabytes.
_MANY = 500


class WordList:
    """Words and their row numbers.

    Args:
        path: the UTF-8 file, one word a line.
        lowercase: whether all its words are lower-case, so that queries are lower-cased too.

    Raises:
        CheckpointError: the file is missing or empty.
    """

    def __init__(self, path: Path, *, lowercase: bool) -> None:
        self.path, self.lowercase, self._asked = path, lowercase, 0
        try:
            self._text = map_file(path)
        except CheckpointError as error:
            raise CheckpointError(f"cannot read the words of these vectors: {error}") from error

    def __len__(self) -> int:
        return len(self._starts)

    def row(self, word: str) -> int | None:
        """The row of a word, or None; the first if the file has it twice."""
        self._asked += 1
        folded = word.lower() if self.lowercase else word
        for spelling in dict.fromkeys((folded, unicodedata.normalize("NFC", folded))):
            line = spelling.encode(errors="surrogatepass")
            # One line of the file, not several.
            if line and b"\n" not in line and (row := self._find_row(line)) is not None:
                return row
        return None

    def rows(self, word: str) -> tuple[int, ...]:
        """The rows of a word: here always one.

        Raises:
            InputError: there is no such word; suggests the nearest spellings.
        """
        row = self.row(word)
        if row is None:
            raise InputError(
                f"'{clipped(word)}' is not among the {len(self):,} words of {self.path.parent.name}{self._advice(word)}"
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
        """The first ``count`` words, or all."""
        words = bytes(self._text).decode(errors="backslashreplace").removesuffix("\n").split("\n")
        return words[:count]

    def keys(self, count: int) -> tuple[Sequence[str], dict[str, int]]:
        """The keys of the first ``count`` words for evaluations: their upper-case form.

        Returns:
            The key of each row, and the first row of each key.
        """
        keys = [word.upper() for word in self.all_words(count)]
        return keys, {key: row for row, key in reversed(list(enumerate(keys)))}

    @cached_property
    def _starts(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """The offset of each line."""
        newlines = np.flatnonzero(np.frombuffer(self._text, np.uint8) == ord("\n"))
        starts = np.concatenate(([0], newlines + 1))
        return starts[:-1] if self._text[-1:] == b"\n" else starts

    def _advice(self, word: str) -> str:
        parts = re.split(r"[\s_+-]+", word)
        if len(parts) > 1 and all(self.has(part) for part in parts):
            return f", but its parts are: try {'+'.join(parts)} with 'gptcli analogy'"
        near = nearest_spellings(word.lower() if self.lowercase else word, self.all_words())
        return f": did you mean {' or '.join(near)}?" if near else ", nor is anything spelled like it"

    def _find_row(self, line: bytes) -> int | None:
        if self._asked > _MANY:
            return self._rows.get(line)
        start = self._find_line(line)
        return None if start is None else int(np.searchsorted(self._starts, start))

    @cached_property
    def _rows(self) -> dict[bytes, int]:
        """The first row of each word, as a table."""
        lines = bytes(self._text).removesuffix(b"\n").split(b"\n")
        return {line: row for row, line in reversed(list(enumerate(lines)))}

    def _find_line(self, line: bytes) -> int | None:
        if self._text[: len(line) + 1] in (line, line + b"\n"):
            return 0
        start = self._text.find(b"\n" + line + b"\n")
        if start < 0 and self._text[-len(line) - 1 :] == b"\n" + line:
            start = len(self._text) - len(line) - 1
        return start + 1 if start >= 0 else None
