"""Tokenizers that run on Hugging Face's tokenizers library: every kind that a tokenizer.json can describe."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import chain, groupby, islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from gptcli.errors import CheckpointError, InputError
from gptcli.system.threads import default_threads
from gptcli.tokenizer import patterns
from gptcli.tokenizer.added import AddedToken
from gptcli.tokenizer.base import Declared, Spans, Tokenizer, unicode_only
from gptcli.tokenizer.bpe import RankTokenizer
from gptcli.tokenizer.calls import TooSlow, call
from gptcli.tokenizer.merges import LONG_PIECE, PieceMerges, merge_pairs, steps_shown
from gptcli.tokenizer.pipeline import SPACE_MARK, Pipeline, goes_across
from gptcli.tokenizer.token import tokens_of
from gptcli.tokenizer.vocabulary import build, merge_list, token_to_bytes

if TYPE_CHECKING:
    from tokenizers import Encoding
    from tokenizers import Tokenizer as Library

# From this many characters on it pays to convert the vocabulary for tiktoken, which is five times as fast: the
# conversion takes a second or two.
_LONG_TEXT = 1 << 22
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class LibraryTokenizer(Tokenizer):
    """Text to ids and back, by Hugging Face's tokenizers library.

    Args:
        name: its name.
        library: the library's tokenizer, which this object owns and modifies.
        pipeline: the steps around its model.
        model: reads the model of the tokenizer.json, including its vocabulary and merges.
        declared: the settings in the checkpoint's other files.
    """

    def __init__(
        self,
        name: str,
        library: "Library",
        pipeline: Pipeline,
        model: Callable[[], dict[str, Any]],
        declared: Declared,
    ) -> None:
        self._library, self._pipeline, self._model = library, pipeline, model
        self._lock = Lock()
        self._given_up: TooSlow | None = None
        library.no_truncation()
        library.no_padding()
        if hasattr(library.model, "dropout"):
            library.model.dropout = None  # only for training: it skips merges at random
        self.bytewise = pipeline.is_bytewise
        prefix = _prefix(library, name)
        library.post_processor = None  # it would remove spaces from the tokens' spans
        added = [_added(number, token) for number, token in sorted(library.get_added_tokens_decoder().items())]
        super().__init__(name, _kind(library, pipeline), added, prefix, declared)
        self._least_n_vocab = declared.n_vocab

    @property
    def pipeline(self) -> Pipeline:
        """The steps around its model."""
        return self._pipeline

    def model(self) -> dict[str, Any]:
        """The model of its tokenizer.json, with vocabulary and merges; read again by each call."""
        return self._model()

    @cached_property
    def _count(self) -> int:
        """One more than the highest id of a token."""
        count: int = self._library.get_vocab_size(True)
        # There are ``count`` tokens. If each id below ``count`` has one, there are no higher ids.
        if None not in map(self._library.id_to_token, range(count)):
            return count
        return max(self._library.get_vocab(True).values(), default=-1) + 1

    @property
    def n_vocab(self) -> int:
        """Every id is below this number."""
        return max(self._least_n_vocab, self._count)

    # Text to ids

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text (see ``Tokenizer.encode``).

        Raises:
            InputError: the library cannot encode the text.
        """
        ids: list[int] = self._encoding(text, special=special).ids
        return ids

    def spans(self, text: str, *, special: bool = False) -> Spans:
        """The ids of a text and the span of each."""
        found = self._encoding(text, special=special)
        offsets = found.offsets
        return Spans(found.ids, [start for start, _ in offsets], [end for _, end in offsets])

    def _encoding(self, text: str, *, special: bool) -> "Encoding":
        return self._encodings([text], special=special)[0]

    def _encodings(self, texts: list[str], *, special: bool, only_ids: bool = False) -> list["Encoding"]:
        library, texts = self._library, list(map(unicode_only, texts))

        def run() -> list["Encoding"]:
            if len(texts) == 1 and self._pipeline.is_known:
                return [library.encode(texts[0], add_special_tokens=False)]
            # These calls release the GIL, so that one that does not finish can be abandoned.
            encode = library.encode_batch_fast if only_ids else library.encode_batch
            encodings: list[Encoding] = encode(texts, add_special_tokens=False)
            return encodings

        with self._lock:
            if self._given_up is not None:  # the library is still busy
                raise self._given_up
            library.encode_special_tokens = not special
            try:
                return call(self.name, run, sum(map(len, texts)), known=self._pipeline.is_known)
            except TooSlow as error:
                self._given_up = error
                raise

    def _encode_stretch(self, text: str, *, first: bool) -> list[int]:
        starts = [step.get("prepend_scheme") == "first" for step in self._pipeline.pre_tokenizers]
        with _not_first(self._library if any(starts) and not first else None):
            return self.encode(text)

    # Long texts

    def safe_cut(self) -> re.Pattern[str] | None:
        """Matches where a text may be split without changing its ids; None if no safe position is known."""
        cut = self._pipeline.cut
        if cut is None or (self._pipeline.is_whole and not self._nothing_goes_across):
            return None
        return patterns.outside_added(cut, self.added)

    @property
    def most_uncut(self) -> int:  # type: ignore[override]  # the library needs more memory
        """The most characters that are buffered of a text that cannot be split; each takes some hundred bytes."""
        return (1 << 23) // self._pipeline.growth

    @cached_property
    def _nothing_goes_across(self) -> bool:
        """Whether no merge, and no added token that includes a space, crosses a position where a long word is split."""
        is_bpe = type(self._library.model).__name__ == "BPE"
        starts, ends = ({token.content[place] for token in self.added} for place in (0, -1))
        return (
            is_bpe
            and not any(map(str.isalnum, starts | ends))
            and ends.isdisjoint(",.")
            and not any(map(goes_across, self._library.get_vocab(False)))
        )

    def later_spans(self, part: str, *, special: bool) -> Spans:
        """``spans`` for a part of a text other than the first."""
        given = self._later(part)
        found, left_out = self.spans(given, special=special), len(part) - len(given)
        starts, ends = ([place + left_out for place in places] for places in (found.starts, found.ends))
        if left_out and starts:  # the space belongs to the first token
            starts[0] = 0
            ends[0] = 1 if self.piece(found.ids[0]) == SPACE_MARK else ends[0]
        return Spans(found.ids, starts, ends)

    def _later(self, part: str) -> str:
        """A part of a text other than the first, without the leading space, which the normalizer adds again."""
        return part.removeprefix(" ") if self._pipeline.is_whole and self._pipeline.prepends else part

    def encode_each(
        self, parts: Iterator[str], *, special: bool, ahead: bool, begun: bool = False
    ) -> Iterator[list[int]]:
        """The ids of the parts of a text that was split at ``safe_cut`` (see ``Tokenizer.encode_each``)."""
        done, size = 0, 1
        while texts := list(islice(parts, size)):
            if done > _LONG_TEXT and self._ranked is not None:
                yield from self._ranked.encode_each(chain(texts, parts), special=special, ahead=ahead)
                return
            given = [text if not place and not begun else self._later(text) for place, text in enumerate(texts)]
            begun = True
            for found in self._encodings(given, special=special, only_ids=True):
                yield found.ids
            done += sum(map(len, texts))
            size = 2 * default_threads() if ahead else 1

    @cached_property
    def _ranked(self) -> RankTokenizer | None:
        """The equivalent tiktoken tokenizer; None if it would not give the same ids."""
        pattern = self._pipeline.rank_pattern
        if pattern is None or type(self._library.model).__name__ != "BPE" or not self.bytewise:
            return None
        model = self._model()
        if any(model.get(option) for option in ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")):
            return None
        try:
            vocab, merges = model["vocab"], merge_list(model["merges"], self.name)
            built = build(vocab, merges, self.name, ignore_merges=model.get("ignore_merges") is True)
        except (CheckpointError, KeyError):
            return None
        if built.ids is not None and None in built.ids.values():
            return None  # the library skips bytes without a token
        return RankTokenizer(
            self.name,
            built.ranks,
            pattern,
            ids=built.ids,
            added=self.added,
            unmerged=built.unmerged,
            normal_forms=["NFC"] if self._pipeline.normalizers else [],
            prefix_space=self._pipeline.puts_space_first,
        )

    # Merges

    def merges(self, text: str, *, special: bool = False) -> Iterator[PieceMerges]:
        """How a text becomes tokens: its pieces, and the merges that built each (see ``Tokenizer.merges``).

        Raises:
            InputError: the library cannot encode the text, or the model has no merges.
        """
        kind = type(self._library.model).__name__
        if kind != "BPE":
            raise InputError(f"{self.name} has no merges: its model is {kind}, which finds tokens another way")
        found = self._encoding(text, special=special)
        marks, tokens, word_ids = self._pipeline.is_whole, found.tokens, found.word_ids
        words, count = [], 0
        for place, token in enumerate(tokens):
            # A text that is a single word to the model is still shown in words: no merge crossed their boundaries.
            count += (marks and token.startswith(SPACE_MARK)) or (place > 0 and word_ids[place] != word_ids[place - 1])
            words.append(count)
        for _, group in groupby(range(len(tokens)), key=words.__getitem__):
            inside = list(group)
            yield self._piece_merges([found.ids[place] for place in inside], [tokens[place] for place in inside])

    def _piece_merges(self, ids: list[int], tokens: list[str]) -> PieceMerges:
        made_of = tuple(tokens_of(self, ids))
        whole = b"".join(token.token for token in made_of)
        if (len(ids) == 1 and ids[0] in self._contents) or len(whole) > LONG_PIECE:
            return PieceMerges(whole, (), made_of)
        suffix = self._library.model.end_of_word_suffix or ""
        parts = [part for token in tokens for part in _characters(token, suffix)]
        steps, made = merge_pairs(parts, self._priority)
        shown = steps_shown(steps, list(map(self._bytes_of, parts))) if made == tokens else ()
        return PieceMerges(whole, shown, made_of)

    @cached_property
    def _priority(self) -> Mapping[tuple[str, str], int]:
        return {pair: place for place, pair in enumerate(merge_list(self._model().get("merges"), self.name))}

    # Ids to text

    def piece(self, token: int) -> str | None:
        """A token as the vocabulary spells it, or None for an id without one."""
        found: str | None = self._library.id_to_token(token) if 0 <= token < 1 << 32 else None
        return found

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one id in the middle of a text (see ``Tokenizer.token_bytes``)."""
        piece = self.piece(token)
        if piece is None:
            if 0 <= token < self.n_vocab:
                return b""
            raise self._unknown(token)
        if piece in self.special_tokens and not self.bytewise:
            return piece.encode()
        return self._bytes_of(piece)

    def _bytes_of(self, piece: str) -> bytes:
        pipeline = self._pipeline
        if self.bytewise:
            known = token_to_bytes(piece)
            return piece.encode() if known is None else known
        if pipeline.has_byte_tokens and (byte := _BYTE.fullmatch(piece)):
            return bytes.fromhex(byte[1])
        if (mark := pipeline.space_mark) is not None:
            piece = piece.replace(mark, " ")
        if (prefix := pipeline.word_prefix) is not None:
            piece = piece.removeprefix(prefix) if piece.startswith(prefix) else f" {piece}"
        if (suffix := pipeline.word_suffix) is not None and piece.endswith(suffix):
            piece = f"{piece.removesuffix(suffix)} "
        return piece.encode()

    def is_part(self, token: int) -> bool:
        """Whether an id is a byte token; runs of these are decoded together."""
        return self._pipeline.has_byte_tokens and _BYTE.fullmatch(self.piece(token) or "") is not None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids, special tokens included."""
        if self.bytewise:
            return self.decode_bytes(ids).decode("utf-8", errors="replace")
        known = [token for token in ids if self.token_bytes(token) or self.piece(token) is not None]
        is_known, library = self._pipeline.is_known, self._library
        decoded: str = call(
            self.name,
            # The second one releases the GIL.
            lambda: library.decode(known, False) if is_known else library.decode_batch([known], False)[0],
            len(known),
            known=is_known,
        )
        return decoded

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of some ids."""
        return b"".join(map(self.token_bytes, ids)) if self.bytewise else self.decode(ids).encode()

    def text_end(self, limit: int) -> int:
        """One more than the highest id below ``limit`` that has text; 0 if none has."""
        return next((token + 1 for token in reversed(range(limit)) if self.piece(token)), 0)

    def unused(self, limit: int) -> list[int]:
        """The ids below ``limit`` that have no token."""
        count = self._count
        if count == self._library.get_vocab_size(True):
            return list(range(count, limit))
        return [token for token in range(limit) if not self.piece(token)]


@contextmanager
def _not_first(library: "Library | None") -> Iterator[None]:
    """For a stretch that is not at the start of its text: no mark is added if Metaspace's scheme is ``first``."""
    steps = [] if library is None else [library.pre_tokenizer]
    with suppress(IndexError, TypeError):  # a Sequence can be indexed but has no length; other steps cannot be indexed
        for place in range(100 if steps else 0):
            steps.append(steps[0][place])
    first = [step for step in steps if getattr(step, "prepend_scheme", None) == "first"]
    for step in first:
        step.prepend_scheme = "never"
    try:
        yield
    finally:
        for step in first:
            step.prepend_scheme = "first"


def _prefix(library: "Library", name: str) -> list[int]:
    """The ids that the post-processor puts before a text."""
    if library.post_processor is None:
        return []
    library.encode_special_tokens = True
    for text in ("a", "0", library.id_to_token(0) or ""):
        try:
            found = call(name, lambda text=text: library.encode(text), 1, known=False)  # type: ignore[misc]
        except InputError:
            continue
        if 0 in found.sequence_ids:
            ids: list[int] = found.ids[: found.sequence_ids.index(0)]
            return ids
    return []


def _added(number: int, token: Any) -> AddedToken:
    return AddedToken(
        token.content,
        number,
        special=token.special,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        single_word=token.single_word,
        normalized=token.normalized,
    )


def _kind(library: "Library", pipeline: Pipeline) -> str:
    kind = type(library.model).__name__
    if kind != "BPE":
        return kind
    if pipeline.is_bytewise:
        return "byte-level BPE"
    return "BPE of words" if pipeline.word_suffix else "BPE of characters"


def _characters(token: str, suffix: str) -> list[str]:
    """The characters that the merges of a token start from."""
    if _BYTE.fullmatch(token):
        return [token]
    if suffix and token.endswith(suffix) and token != suffix:
        letters = token.removesuffix(suffix)
        return [*letters[:-1], letters[-1] + suffix]
    return list(token)
