"""Text cut into words the way BERT does it (Devlin et al. 2018), which GPT-1's published tokenizer shares."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

# The blocks of Chinese characters, as BERT's tokenizer lists them: each character is a word of its own.
_CHINESE = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)


@dataclass(frozen=True)
class Cleaning:
    """What is done to a text before it is cut into words; GPT-1 does all of it.

    Attributes:
        clean_text: drop control characters, make all whitespace spaces.
        handle_chinese_chars: put spaces around Chinese characters.
        strip_accents: take characters apart and drop the marks on them.
        lowercase: character by character, whatever stands around.
    """

    clean_text: bool = True
    handle_chinese_chars: bool = True
    strip_accents: bool = True
    lowercase: bool = True

    def apply(self, text: str) -> str:
        """The cleaned text."""
        text = "".join(map(self._clean, text))
        if self.strip_accents:
            text = "".join(char for char in unicodedata.normalize("NFD", text) if unicodedata.category(char) != "Mn")
        return "".join(char.lower() for char in text) if self.lowercase else text

    def _clean(self, char: str) -> str:
        if self.clean_text:
            if _is_space(char):
                return " "
            if char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs"):
                return ""
        if self.handle_chinese_chars and any(first <= ord(char) <= last for first, last in _CHINESE):
            return f" {char} "
        return char


def cut_words(text: str) -> Iterator[str]:
    """A text cut at whitespace, and around each punctuation mark."""
    word: list[str] = []
    for char in text:
        space, mark = _is_space(char), _is_punctuation(char)
        if (space or mark) and word:
            yield "".join(word)
            word = []
        if mark:
            yield char
        elif not space:
            word.append(char)
    if word:
        yield "".join(word)


@lru_cache(maxsize=1 << 12)
def _is_space(char: str) -> bool:
    return char in "\t\n\r" or unicodedata.category(char)[0] == "Z"


@lru_cache(maxsize=1 << 12)
def _is_punctuation(char: str) -> bool:
    return ("!" <= char <= "~" and not char.isalnum()) or unicodedata.category(char)[0] == "P"
