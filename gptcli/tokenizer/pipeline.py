"""Analyses the steps of a tokenizer.json: which properties they have, without running them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gptcli.tokenizer import patterns
from gptcli.tokenizer.outline import growth, steps

# The character that replaces a space in SentencePiece's vocabularies.
SPACE_MARK = "▁"
# Steps that always split between a non-space character and a space, without looking any further.
_CUT_AT_SPACES = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
# Steps in whose pieces no space follows another character.
_NO_SPACE_INSIDE = ("Digits", "Punctuation")
# Steps that normalize the text before a space and the text from the space on independently of each other.
_BY_CHARACTER = ("NFC", "NFD", "Lowercase", "StripAccents", "BertNormalizer")
# Matches after a letter, digit, comma or full stop, and before a space that is followed by a letter or digit.
_BEFORE_MARK = r"(?:(?<=[^\W_])|(?<=[,.]))(?= [^\W_])"
_ACROSS = re.compile(rf"(?:[^\W_]|[,.]){SPACE_MARK}")


@dataclass(frozen=True)
class Pipeline:
    """The steps around a tokenizer's model.

    Attributes:
        outline: the outline of a tokenizer.json (``read_outline``).
        path: the file, for errors.
    """

    outline: dict[str, Any]
    path: Path

    @cached_property
    def normalizers(self) -> list[dict[str, Any]]:
        """The steps that normalize a text before it is split into words."""
        return list(steps(self.outline.get("normalizer")))

    @cached_property
    def pre_tokenizers(self) -> list[dict[str, Any]]:
        """The steps that split a text into words."""
        return list(steps(self.outline.get("pre_tokenizer")))

    @cached_property
    def decoders(self) -> list[dict[str, Any]]:
        """The steps from tokens to text."""
        return list(steps(self.outline.get("decoder")))

    @property
    def growth(self) -> int:
        """The most characters that the normalizers may turn one character into."""
        return max(int(growth(self.outline.get("normalizer"), self.path)), 1)

    @cached_property
    def is_known(self) -> bool:
        """Whether each regular expression in it is known to be fast."""
        return all(found in patterns.KNOWN for found in self._expressions())

    def _expressions(self) -> Iterator[str]:
        for step in (*self.normalizers, *self.pre_tokenizers, *self.decoders):
            match step.get("pattern"):
                case {"Regex": str(expression)}:
                    yield expression

    # Decoding

    @property
    def is_bytewise(self) -> bool:
        """Whether tokens are bytes, and the bytes of a text are those of its tokens concatenated."""
        return [step.get("type") for step in self.decoders] == ["ByteLevel"]

    @property
    def has_byte_tokens(self) -> bool:
        """Whether tokens like ``<0xE2>`` are bytes."""
        return any(step.get("type") == "ByteFallback" for step in self.decoders)

    @property
    def space_mark(self) -> str | None:
        """The character that replaces a space inside a token."""
        for step in self.decoders:
            match step:
                case {"type": "Replace", "pattern": {"String": str(mark)}, "content": " "}:
                    return mark
                case {"type": "Metaspace"}:
                    mark = step.get("replacement", SPACE_MARK)
                    return mark if isinstance(mark, str) else SPACE_MARK
        return None

    @property
    def word_prefix(self) -> str | None:
        """The prefix of a token that continues a word (WordPiece)."""
        return self._of_decoder("WordPiece", "prefix", "##")

    @property
    def word_suffix(self) -> str | None:
        """The suffix of a token that ends a word (GPT-1)."""
        return self._of_decoder("BPEDecoder", "suffix", "</w>")

    def _of_decoder(self, kind: str, key: str, default: str) -> str | None:
        found = next((step.get(key, default) for step in self.decoders if step.get("type") == kind), None)
        return found if isinstance(found, str) and found else None

    # Cutting

    @property
    def rank_pattern(self) -> str | None:
        """The pattern with which tiktoken gives the same ids; None if there is none."""
        if [step.get("type") for step in self.normalizers] not in ([], ["NFC"]):
            return None
        match self.pre_tokenizers:
            case [{"type": "ByteLevel"} as last]:
                return patterns.GPT2 if last.get("use_regex", True) is True else None
            case [split, {"type": "ByteLevel", "use_regex": False, "add_prefix_space": False}]:
                expression = isolated(split)
                return patterns.BY_RANK.get(expression) if expression else None
        return None

    @property
    def puts_space_first(self) -> bool:
        """Whether the byte-level step adds a space to a text that does not begin with one."""
        return any(
            step.get("type") == "ByteLevel" and step.get("add_prefix_space", True) is True
            for step in self.pre_tokenizers
        )

    @property
    def is_whole(self) -> bool:
        """Whether the text between two added tokens is a single word, with spaces replaced by marks."""
        kinds = {step.get("type") for step in self.normalizers}
        return self._marks_spaces and kinds <= {"Prepend", "Replace"} and all(map(_never_splits, self.pre_tokenizers))

    @property
    def _marks_spaces(self) -> bool:
        replaced = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE_MARK}
        others = [step for step in self.normalizers if step.get("type") == "Replace" and step != replaced]
        marked = any(step.get("type") == "Metaspace" for step in self.pre_tokenizers)
        return not others and (marked or replaced in self.normalizers)

    @property
    def prepends(self) -> bool:
        """Whether the normalizer adds a mark before each text, even if it begins with a space."""
        return any(step.get("type") == "Prepend" for step in self.normalizers)

    @property
    def cut(self) -> str | None:
        """A zero-width pattern that matches where a text may be cut; None if no cut is known to be safe.

        For a pipeline that ``is_whole``, it is safe only if no token of the vocabulary ``goes_across`` a match.
        """
        if self.is_whole:
            return _BEFORE_MARK
        if any(step.get("type") not in _BY_CHARACTER for step in self.normalizers):
            return None
        if self.rank_pattern is not None and not self.puts_space_first:
            return patterns.SAFE_CUTS[self.rank_pattern]
        # After ByteLevel, spaces have been replaced by a letter.
        kinds = [step.get("type") for step in self.pre_tokenizers]
        seen = kinds.index("ByteLevel") + 1 if "ByteLevel" in kinds else len(kinds)
        safe = all(map(_keeps_spaces_first, self.pre_tokenizers[:seen]))
        return patterns.BEFORE_SPACE if safe and any(map(_cuts_at_spaces, self.pre_tokenizers[:seen])) else None


def isolated(step: dict[str, Any]) -> str | None:
    """The regular expression of a Split that isolates its matches as words; None for other steps."""
    match step:
        case {"type": "Split", "pattern": {"Regex": str(expression)}, "behavior": "Isolated"}:
            return expression if step.get("invert") is not True else None
    return None


def _never_splits(step: dict[str, Any]) -> bool:
    """Whether a pre-tokenizer never splits a text in which marks replace the spaces."""
    match step:
        case {"type": "Metaspace"}:
            return bool(step.get("replacement", SPACE_MARK) == SPACE_MARK)
        case {"type": "Split", "pattern": {"String": " "}}:
            return True
    return False


def _cuts_at_spaces(step: dict[str, Any]) -> bool:
    if step.get("type") == "ByteLevel":
        return step.get("use_regex", True) is True
    return step.get("type") in _CUT_AT_SPACES or isolated(step) in patterns.CUT_AT_SPACES


def _keeps_spaces_first(step: dict[str, Any]) -> bool:
    """Whether no word that a pre-tokenizer makes has a space after another character, unless its input already had."""
    known = step.get("type") in ("ByteLevel", *_NO_SPACE_INSIDE) or isolated(step) in patterns.KNOWN
    return known or _cuts_at_spaces(step)


def goes_across(token: str) -> bool:
    """Whether a token contains a position where a single-word text would be cut."""
    return _ACROSS.search(token) is not None
