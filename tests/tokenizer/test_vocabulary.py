"""Merges as Hugging Face lists them, turned into tiktoken's ranks: the same tokens for any list of merges."""

import itertools
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from gptcli.errors import CheckpointError
from gptcli.tokenizer import RankTokenizer, gpt2_tokenizer, patterns, tokenizer_for
from gptcli.tokenizer.library import LibraryTokenizer
from gptcli.tokenizer.vocabulary import build, token_to_bytes
from tests.tokenizer import reference


@st.composite
def ordered_merges(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Any merges over two or three letters, each of tokens that are there before it."""
    tokens = list("abc"[: draw(st.integers(1, 3))])
    merges: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(0, 12))):
        pair = (draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens)))
        if pair not in merges:
            merges.append(pair)
            tokens.append("".join(pair))
    return merges


@st.composite
def any_merges(draw: st.DrawFn) -> list[tuple[str, str]]:
    """The same in any order, and with other ways to cut the same tokens: into parts that come later, or never."""
    merges = draw(ordered_merges())
    tokens = {"".join(pair) for pair in merges} | set("abc")
    others = [(token[:cut], token[cut:]) for token in tokens for cut in range(1, len(token))]
    known = [pair for pair in sorted(others) if set(pair) <= tokens and pair not in merges]
    more = draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    return draw(st.permutations([*merges, *more]))


def by_rank(theirs: Any) -> RankTokenizer | None:
    """What encodes long texts by rank, made of the file that theirs writes; None where ranks do not say it."""
    with tempfile.TemporaryDirectory() as folder:
        made = tokenizer_for(reference.save(theirs, Path(folder)), None)
        assert isinstance(made, LibraryTokenizer)
        return made._ranked


@pytest.mark.slow
@settings(max_examples=200)
@given(ordered_merges() | any_merges(), st.lists(st.text("abc", max_size=24), min_size=1, max_size=8))
def test_any_list_of_merges_gives_the_tokens_of_hugging_face(merges: list[tuple[str, str]], texts: list[str]) -> None:
    theirs = reference.plain(merges, use_regex=True)
    ours = by_rank(theirs)
    if ours is None:
        reject()
    for text in texts:
        assert ours.encode(text) == theirs.encode(text).ids
        assert [token for piece in ours.merges(text) for token in piece.ids] == theirs.encode(text).ids


@pytest.mark.slow
@settings(max_examples=120)
@given(
    ordered_merges() | any_merges(),
    st.lists(st.text("abc", min_size=2, max_size=6), max_size=4),
    st.lists(st.text("abc ", max_size=20), min_size=1, max_size=6),
)
def test_tokens_that_are_only_taken_whole_are_as_hugging_face_takes_them(
    merges: list[tuple[str, str]], extra: list[str], texts: list[str]
) -> None:
    theirs = reference.plain(merges, extra, ignore_merges=True, use_regex=True)
    ours = by_rank(theirs)
    if ours is None:
        reject()
    for text in [*texts, *extra]:
        assert ours.encode(text) == theirs.encode(text).ids


@pytest.mark.slow
@settings(max_examples=120)
@given(
    st.lists(st.text("abc", min_size=2, max_size=6), unique=True, max_size=14),
    st.lists(st.text("abc ", max_size=20), min_size=1, max_size=6),
)
def test_ranks_of_any_tokens_turned_into_a_file_by_transformers(tokens: list[str], texts: list[str]) -> None:
    """TikTokenConverter lists every way to cut a token in two known ones, in the order of the tokens' ranks."""
    order = [*(bytes([byte]) for byte in range(256)), *(token.encode() for token in tokens)]
    theirs = converted({token: rank for rank, token in enumerate(order)})
    ours = by_rank(theirs)
    if ours is None:
        reject()
    for text in texts:
        assert ours.encode(text) == theirs.encode(text).ids


def converted(ranks: dict[bytes, int], pattern: str = patterns.GPT2_AS_PUBLISHED) -> Any:
    """What transformers makes of tiktoken's ranks."""
    from transformers.convert_slow_tokenizer import TikTokenConverter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ranks.tiktoken"
        path.write_bytes(b"".join(b"%s %d\n" % (b64encode(token), rank) for token, rank in ranks.items()))
        return TikTokenConverter(str(path), pattern).converted()


@pytest.mark.slow
def test_gpt2s_ranks_turned_into_a_file_by_transformers() -> None:
    """The first 10,000 of them, which is a vocabulary too."""
    ranks = {token: rank for token, rank in gpt2_tokenizer()._ranks.items() if rank < 10_000}
    theirs = converted(ranks)
    ours = by_rank(theirs)
    assert ours is not None  # as fast as tiktoken
    assert ours.encode(reference.HARD_TEXT) == theirs.encode(reference.HARD_TEXT).ids
    assert {token: rank for token, rank in ours._ranks.items() if len(token) > 1} == {
        token: rank for token, rank in ranks.items() if len(token) > 1
    }


@pytest.mark.slow
def test_merges_before_their_turn_are_left_to_the_library(tmp_path: Path) -> None:
    theirs = reference.plain([("ab", "c"), ("b", "c"), ("a", "b")], use_regex=True)
    assert by_rank(theirs) is None
    theirs.model.save(str(tmp_path))
    ours = tokenizer_for(tmp_path, None)  # of vocab.json and merges.txt
    assert isinstance(ours, LibraryTokenizer)
    [piece] = ours.merges("xabc")
    assert [(step.left, step.right) for step in piece.merges] == [(b"b", b"c")]
    assert ours.decode(ours.encode("abc\udc80é")) == "abc\ufffdé"
    for text in (reference.HARD_TEXT, "xabc abc", " " * 200_000):
        assert ours.encode(text) == theirs.encode(text).ids


def test_tokens_that_no_merge_makes_are_decoded_and_never_encoded() -> None:
    theirs = reference.plain([("a", "b")], ["abc", "xyz"])
    vocab = {**reference.bytes_vocabulary(), "ab": 256, "abc": 257, "xyz": 258}
    built = build(vocab, [("a", "b")], "here")
    assert built.unmerged == {257: b"abc", 258: b"xyz"}
    assert theirs.encode("abc").tokens == ["ab", "c"]
    assert b"abc" not in built.ranks


def test_the_example_that_tiktokens_rule_alone_gets_wrong() -> None:
    # "abc" is made of "ab" and "c", but "bc" merges first: the token can never come up. Taken as a rank, it would.
    merges = [("b", "c"), ("a", "b"), ("ab", "c")]
    vocab = {**reference.bytes_vocabulary(), "bc": 256, "ab": 257, "abc": 258}
    built = build(vocab, merges, "here")
    assert set(built.ranks) - {bytes([byte]) for byte in range(256)} == {b"bc", b"ab"}
    assert reference.plain(merges).encode("abc").tokens == ["a", "bc"]


def test_byte_alphabet_is_hugging_faces() -> None:
    theirs = reference.plain([])
    for byte in range(256):
        text = chr(byte)
        expected = [theirs.id_to_token(token) for token in theirs.encode(text).ids]
        assert b"".join(token_to_bytes(str(token)) or b"?" for token in expected) == text.encode()
    assert token_to_bytes("a b") is None


@pytest.mark.parametrize(
    ("vocab", "merges", "message"),
    [
        ({"q": 5}, [], "'q'"),
        ({"new": -1}, [], "no id"),
        ({"new": 2**31}, [], "no id"),
        ({"new": "7"}, [], "no id"),
        ({"new": 1.5}, [], "no id"),
        ({"new": True}, [], "no id"),
        ({}, [("a", "b")], "no token 'ab'"),
        ({"aX": 256, "X\u4e16": 300}, [("X", "\u4e16")], "no token '\u4e16'"),
        ({"ab": 256}, [("a", "b"), ("a", "b")], "twice"),
        ({"ab": 256, "abc": 257}, [("ab", "c"), ("a", "b")], "after a merge that needs it"),
        ({"ab": 256, "abc": 257}, [("ab", "c"), ("a", "b"), ("q", "r")], "no token 'qr'"),
    ],
)
def test_broken_vocabularies_are_refused_with_the_place(
    vocab: dict[str, int], merges: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        build({**reference.bytes_vocabulary(), **vocab}, merges, "here.json")
    assert str(caught.value).startswith("here.json")


@pytest.mark.slow
def test_exhaustively_on_two_letters() -> None:
    # All orders of all merges of up to three letters over {a, b}: every text of up to six letters.
    pairs = [("a", "a"), ("a", "b"), ("b", "a"), ("aa", "b"), ("a", "ab"), ("ab", "a"), ("a", "ba")]
    texts = ["".join(letters) for n in range(1, 7) for letters in itertools.product("ab", repeat=n)]
    seen = 0
    for chosen in itertools.permutations(pairs, 3):
        made = [{"a", "b", *("".join(pair) for pair in chosen[:place])} for place in range(3)]
        if not all({*pair} <= before for pair, before in zip(chosen, made, strict=True)):
            continue
        theirs = reference.plain(list(chosen))
        vocab = theirs.get_vocab()
        built = build(vocab, chosen, "here")
        ours = RankTokenizer("small", built.ranks, r"[\s\S]+", ids=built.ids, unmerged=built.unmerged)
        for text in texts:
            assert ours.encode(text) == theirs.encode(text).ids, (chosen, text)
        seen += 1
    assert seen == 32
