"""GPT-1's tokenizer (Radford et al. 2018): lower-cased words, each its own byte-pair encoding of characters.

Text is cleaned as BERT does it (control characters and accents go, everything is lower case), cut at whitespace and
around every punctuation mark, and the last character of each word carries the mark ``</w>``. What the text looked like
between words is lost: a token that ends a word decodes with one space after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from gptcli.errors import CheckpointError, InputError
from gptcli.tokenizer.added import AddedToken
from gptcli.tokenizer.bpe import Tokenizer
from gptcli.tokenizer.merges import MergeStep, PieceMerges, merge_pairs, steps_shown
from gptcli.tokenizer.words import Cleaning, cut_words

END_OF_WORD = "</w>"
# Longer words come without their steps: to list them takes memory with the square of the length.
_LONG_WORD = 2_000


class WordTokenizer(Tokenizer):
    """Text to ids and back, word by word.

    Args:
        name: what to call it.
        vocab: token to id; tokens that end a word end in ``</w>``.
        merges: pairs of tokens, highest priority first.
        unknown: the token for a character that the vocabulary lacks; None: such a character is an error.
        cleaning: what is done to a text first.
        added: tokens that are cut out of the text first.
        n_vocab: the size of the model's vocabulary, where it is padded beyond the last token.
        eos: the token that ends a text, or candidates for it, the best first.

    Raises:
        CheckpointError: an id is none, or a merge is of tokens that are not in the vocabulary.
    """

    word_gap = " "

    def __init__(
        self,
        name: str,
        vocab: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        *,
        unknown: str | None,
        cleaning: Cleaning | None = None,
        added: Sequence[AddedToken] = (),
        n_vocab: int = 0,
        eos: str | Sequence[str] | None = None,
    ) -> None:
        _check(vocab, merges, name)
        table = {number: _to_bytes(token) for token, number in vocab.items()}
        super().__init__(name, {}, "", unmerged=table, added=added, n_vocab=n_vocab, eos=eos)
        self._vocab = vocab
        self._priority = {pair: place for place, pair in enumerate(merges)}
        self._unknown = None if unknown is None else vocab.get(unknown)
        self._cleaning = cleaning or Cleaning()
        self._word_ids = lru_cache(maxsize=1 << 14)(self._encode_word)

    def _encode_ordinary(self, text: str) -> list[int]:
        return [token for word in cut_words(self._cleaning.apply(text)) for token in self._word_ids(word)]

    def _encode_word(self, word: str) -> tuple[int, ...]:
        _, tokens = self._merge(word)
        return tuple(map(self._id, tokens))

    def _id(self, token: str) -> int:
        number = self._vocab.get(token, self._unknown)
        if number is None:
            raise InputError(f"the vocabulary of {self.name} has no token for the character {_plain(token)!r}")
        return number

    def _merge(self, word: str) -> tuple[list[MergeStep], list[str]]:
        return merge_pairs([*word[:-1], word[-1] + END_OF_WORD], self._priority)

    def merges(self, text: str, *, special: bool = False) -> Iterator[PieceMerges]:
        """How a text becomes tokens: its words, and the merges that built each (see ``Tokenizer.merges``)."""
        for part in self._parts(text, special=special):
            if isinstance(part, int):
                data = self.token_bytes(part)
                yield PieceMerges(data, (), (data,), (part,))
            else:
                yield from map(self._word_merges, cut_words(self._cleaning.apply(part)))

    def _word_merges(self, word: str) -> PieceMerges:
        steps, tokens = self._merge(word)
        characters = [char.encode() for char in [*word[:-1], f"{word[-1]} "]]
        shown = steps_shown(steps if len(word) <= _LONG_WORD else (), characters)
        ids = tuple(map(self._id, tokens))
        return PieceMerges(f"{word} ".encode(), shown, tuple(map(self.token_bytes, ids)), ids)


def is_word_level(merges: Sequence[tuple[str, str]]) -> bool:
    """Whether merges are of GPT-1's kind, with a mark at the end of words."""
    return any(second.endswith(END_OF_WORD) for _, second in merges[:1000])


def read_cleaning(normalizer: Any, pre_tokenizer: Any, where: str) -> Cleaning:
    """What the normalizer of a tokenizer.json asks for.

    Raises:
        CheckpointError: it, or the pre-tokenizer, is not BERT's.
    """
    for step, kind in ((normalizer, "BertNormalizer"), (pre_tokenizer, "BertPreTokenizer")):
        if not isinstance(step, dict) or step.get("type") != kind:
            raise CheckpointError(f"{where}: the tokenizer marks the ends of words, but has no {kind}, as GPT-1's has")
    lowercase = normalizer.get("lowercase") is not False
    accents = normalizer.get("strip_accents")
    return Cleaning(
        clean_text=normalizer.get("clean_text") is not False,
        handle_chinese_chars=normalizer.get("handle_chinese_chars") is not False,
        strip_accents=lowercase if accents is None else accents is True,
        lowercase=lowercase,
    )


def _to_bytes(token: str) -> bytes:
    ends = token.endswith(END_OF_WORD)
    return (_plain(token) + " " if ends else token).encode("utf-8", "replace")


def _plain(token: str) -> str:
    return token.removesuffix(END_OF_WORD)


def _check(vocab: Mapping[str, int], merges: Sequence[tuple[str, str]], name: str) -> None:
    if not vocab:
        raise CheckpointError(f"{name}: the vocabulary is empty")
    for token, number in vocab.items():
        if type(number) is not int or not 0 <= number < 2**31:
            raise CheckpointError(f"{name}: the token {token!r:.80} has the id {number!r:.40}, which is no id")
    for place, (first, second) in enumerate(merges, start=1):
        missing = next((part for part in (first, second, first + second) if part not in vocab), None)
        if missing is not None:
            raise CheckpointError(f"{name}: merge {place} ({first!r:.40}, {second!r:.40}): no token {missing!r:.80}")
