"""What the steps of a tokenizer.json do: what is known of them beyond what the library does with them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gptcli.tokenizer import patterns
from gptcli.tokenizer.outline import growth, steps

# The character that stands for a space in SentencePiece's vocabularies.
SPACE_MARK = "▁"
# Steps that put a boundary between a character that is no space and a space, and look no further than that.
_CUT_AT_SPACES = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
# Steps in whose pieces no space follows another character.
_NO_SPACE_INSIDE = ("Digits", "Punctuation")
# Steps that change each character for itself, as far as a space between two others goes.
_BY_CHARACTER = ("NFC", "NFD", "Lowercase", "StripAccents", "BertNormalizer")
# A place after a letter, digit, comma or full stop, and before a space with a letter or digit after it.
_BEFORE_MARK = r"(?:(?<=[^\W_])|(?<=[,.]))(?= [^\W_])"
_ACROSS = re.compile(rf"(?:[^\W_]|[,.]){SPACE_MARK}")


@dataclass(frozen=True)
class Pipeline:
    """The steps around a tokenizer's model.

    Attributes:
        outline: of a tokenizer.json (``read_outline``).
        path: the file, for errors.
    """

    outline: dict[str, Any]
    path: Path

    @cached_property
    def normalizers(self) -> list[dict[str, Any]]:
        """The steps before a text is cut into words."""
        return list(steps(self.outline.get("normalizer")))

    @cached_property
    def pre_tokenizers(self) -> list[dict[str, Any]]:
        """The steps that cut it into words."""
        return list(steps(self.outline.get("pre_tokenizer")))

    @cached_property
    def decoders(self) -> list[dict[str, Any]]:
        """The steps from tokens to text."""
        return list(steps(self.outline.get("decoder")))

    @property
    def growth(self) -> int:
        """How many characters may become of one."""
        return max(int(growth(self.outline.get("normalizer"), self.path)), 1)

    @cached_property
    def is_known(self) -> bool:
        """Whether each regular expression in it is one that is known to come to an end soon."""
        return all(found in patterns.KNOWN for found in self._expressions())

    def _expressions(self) -> Iterator[str]:
        for step in (*self.normalizers, *self.pre_tokenizers, *self.decoders):
            match step.get("pattern"):
                case {"Regex": str(expression)}:
                    yield expression

    # Decoding

    @property
    def is_bytewise(self) -> bool:
        """Whether tokens are bytes, and a text is theirs joined."""
        return [step.get("type") for step in self.decoders] == ["ByteLevel"]

    @property
    def has_byte_tokens(self) -> bool:
        """Whether ``<0xE2>`` stands for a byte."""
        return any(step.get("type") == "ByteFallback" for step in self.decoders)

    @property
    def space_mark(self) -> str | None:
        """What stands for a space inside a token."""
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
        """What a token that goes on with a word starts with (WordPiece)."""
        return self._of_decoder("WordPiece", "prefix", "##")

    @property
    def word_suffix(self) -> str | None:
        """What a token that ends a word ends with (GPT-1)."""
        return self._of_decoder("BPEDecoder", "suffix", "</w>")

    def _of_decoder(self, kind: str, key: str, default: str) -> str | None:
        found = next((step.get(key, default) for step in self.decoders if step.get("type") == kind), None)
        return found if isinstance(found, str) and found else None

    # Cutting

    @property
    def rank_pattern(self) -> str | None:
        """The pattern with which tiktoken gives the same ids, or None where it does not."""
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
        """Whether byte-level words get a space before a text that has none."""
        return any(
            step.get("type") == "ByteLevel" and step.get("add_prefix_space", True) is True
            for step in self.pre_tokenizers
        )

    @property
    def is_whole(self) -> bool:
        """Whether a text between two added tokens is one word, spaces written as marks."""
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
        """Whether the normalizer puts a mark before each text, also before one that begins with a space."""
        return any(step.get("type") == "Prepend" for step in self.normalizers)

    @property
    def cut(self) -> str | None:
        """Matches, with no characters, where a text may be cut; None where nothing is known to be safe.

        For a pipeline that ``is_whole`` only where no token of the vocabulary ``goes_across`` such a place.
        """
        if self.is_whole:
            return _BEFORE_MARK
        if any(step.get("type") not in _BY_CHARACTER for step in self.normalizers):
            return None
        if self.rank_pattern is not None and not self.puts_space_first:
            return patterns.SAFE_CUTS[self.rank_pattern]
        # After ByteLevel a space is a letter.
        kinds = [step.get("type") for step in self.pre_tokenizers]
        seen = kinds.index("ByteLevel") + 1 if "ByteLevel" in kinds else len(kinds)
        safe = all(map(_keeps_spaces_first, self.pre_tokenizers[:seen]))
        return patterns.BEFORE_SPACE if safe and any(map(_cuts_at_spaces, self.pre_tokenizers[:seen])) else None


def isolated(step: dict[str, Any]) -> str | None:
    """The regular expression of a Split whose matches are words of their own."""
    match step:
        case {"type": "Split", "pattern": {"Regex": str(expression)}, "behavior": "Isolated"}:
            return expression if step.get("invert") is not True else None
    return None


def _never_splits(step: dict[str, Any]) -> bool:
    """Whether a pre-tokenizer leaves a text whole in which marks stand for spaces."""
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
    """Whether no word of a pre-tokenizer has a space after another character that a former step did not bring."""
    known = step.get("type") in ("ByteLevel", *_NO_SPACE_INSIDE) or isolated(step) in patterns.KNOWN
    return known or _cuts_at_spaces(step)


def goes_across(token: str) -> bool:
    """Whether a token has a place inside where a text that is one word would be cut."""
    return _ACROSS.search(token) is not None
