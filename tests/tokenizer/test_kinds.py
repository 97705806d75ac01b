"""Tokenizers of every kind, read from tokenizer.json: ids, texts and places are those of Hugging Face's library."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import pre_tokenizers

from gptcli.errors import InputError
from gptcli.tokenizer import StreamDecoder, Tokenizer, chunks, encode_chunks, tokenizer_for
from gptcli.tokenizer.listing import tokenize_text, truncate_text
from tests.tokenizer import reference
from tests.tokenizer.kinds import BY_MARKS, KINDS

LINES = (*reference.HARD_TEXT.split("\n"), "", " ", "  ", "\n", "\n \n", " a", "▁", "a▁ b", "<s>x</s>", "<0x41>")
PIECES = [
    *(
        "heroes",
        "hero",
        " wear",
        "世界",
        "ไทย",
        "🌍",
        "हिन्दी",
        " ",
        "  ",
        "\n",
        "\n\n",
        "é",
        "e\u0301",
        "½",
        "12",
        "345",
    ),
    *("▁", "▁▁", "<s>", "</s>", "<|endoftext|>", "[CLS]", "<0xE2>", "'s", ".", "\u200d", "\x85"),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=10).map("".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kinds")
    for name, make in KINDS.items():
        reference.save(make(), root / name)
    return root


def pair(folder: Path, name: str) -> tuple[Tokenizer, Any]:
    return tokenizer_for(folder / name, None), Library.from_file(str(folder / name / "tokenizer.json"))


def their_encoding(theirs: Any, text: str, *, special: bool) -> Any:
    theirs.encode_special_tokens = not special
    theirs.post_processor = None  # GPT-2's trims the places
    return theirs.encode(text, add_special_tokens=False)


def streamed(ours: Tokenizer, ids: list[int], after: list[int] | None = None) -> str:
    stream = StreamDecoder(ours, after or ())
    return "".join(map(stream.push, ids)) + stream.finish()


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_ids_places_and_texts(folder: Path, name: str, special: bool) -> None:
    ours, theirs = pair(folder, name)
    for text in (reference.HARD_TEXT, *LINES):
        found = their_encoding(theirs, text, special=special)
        spans = ours.spans(text, special=special)
        assert ours.encode(text, special=special) == spans.ids == found.ids
        assert list(zip(spans.starts, spans.ends, strict=True)) == found.offsets
        assert ours.decode(found.ids) == theirs.decode(found.ids, skip_special_tokens=False)
        assert [ours.piece(token) for token in found.ids] == [theirs.id_to_token(token) for token in found.ids]
    assert ours.n_vocab == max(theirs.get_vocab().values()) + 1
    assert ours.unused(ours.n_vocab + 2) == [ours.n_vocab, ours.n_vocab + 1]


@pytest.mark.parametrize("name", KINDS)
def test_what_is_put_before_a_text_is_the_post_processors(folder: Path, name: str) -> None:
    ours, theirs = pair(folder, name)
    whole = theirs.encode("hero").ids
    inside = ours.encode("hero")
    place = next(start for start in range(len(whole)) if whole[start : start + len(inside)] == inside)
    assert ours.prefix_ids == whole[:place]
    assert len(ours.prefix_ids) == (name in (*BY_MARKS, "llama3", "wordpiece"))


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_any_text(folder: Path, name: str) -> None:
    ours, theirs = pair(folder, name)

    @settings(max_examples=40)
    @given(TEXTS, st.booleans(), st.integers(0, 30))
    def same(text: str, special: bool, place: int) -> None:
        ids = their_encoding(theirs, text, special=special).ids
        assert ours.encode(text, special=special) == ids
        whole = theirs.decode(ids, skip_special_tokens=False)
        assert ours.decode(ids) == streamed(ours, ids) == whole
        known = ids[:place]
        if known and not ours.is_part(known[-1]) and not ours.decode(known).endswith("\ufffd"):
            assert ours.decode(known) + streamed(ours, ids[place:], known) == whole

    same()


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_any_ids_decode_and_stream_alike(folder: Path, name: str) -> None:
    ours, theirs = pair(folder, name)

    @settings(max_examples=40)
    @given(st.lists(st.integers(0, ours.n_vocab - 1), max_size=20))
    def same(ids: list[int]) -> None:
        assert ours.decode(ids) == streamed(ours, ids) == theirs.decode(ids, skip_special_tokens=False)
        assert ours.decode_bytes(ids).decode(errors="replace") == ours.decode(ids)

    same()


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_long_texts_in_parts_have_the_ids_of_the_whole(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pair(folder, name)
    monkeypatch.setattr(chunks, "_ENOUGH", 1)
    monkeypatch.setattr("gptcli.tokenizer.library._LONG_TEXT", 40)
    cuts = 0

    @settings(max_examples=40)
    @given(TEXTS, TEXTS, st.booleans(), st.booleans())
    def same(first: str, second: str, special: bool, ahead: bool) -> None:
        nonlocal cuts
        text = first + "some words, and " + second
        parts = [text[place : place + 5] for place in range(0, len(text), 5)]
        expected = their_encoding(theirs, text, special=special)
        found = list(encode_chunks(ours, parts, special=special, ahead=ahead))
        cuts += len(found) > 1
        assert [token for ids in found for token in ids] == expected.ids
        answer = tokenize_text(ours, parts, special=special)
        assert [(token.start, token.end) for token in answer.tokens] == expected.offsets

    same()
    assert bool(cuts) == (name not in ("bloom", "unigram"))


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("unigram", "wordpiece")])
def test_merges_make_the_tokens_one_by_one(folder: Path, name: str) -> None:
    ours, theirs = pair(folder, name)
    pairs = json.loads(theirs.to_str())["model"]["merges"]
    ids: list[int] = []
    for piece in ours.merges(reference.HARD_TEXT):
        ids += piece.ids
        assert b"".join(token.token for token in piece.tokens) == piece.text
        if piece.merges:
            assert piece.merges[-1].parts == tuple(token.token for token in piece.tokens)
        assert [step.rank for step in piece.merges] == [step.rank for step in piece.merges if step.rank < len(pairs)]
    assert ids == their_encoding(theirs, reference.HARD_TEXT, special=False).ids
    [hero] = [piece for piece in ours.merges("a heroes") if piece.text == b" heroes"]
    assert len(hero.merges) == 7 - len(hero.tokens)


@pytest.mark.parametrize("name", ["unigram", "wordpiece"])
def test_a_model_without_merges_says_so(folder: Path, name: str) -> None:
    with pytest.raises(InputError, match="has no merges"):
        list(pair(folder, name)[0].merges("a"))


def test_byte_tokens_are_one_character_when_their_run_is_over(folder: Path) -> None:
    ours, theirs = pair(folder, "llama2")
    ids = ours.encode("hero 🌍 x")
    assert "<0xF0>" in [ours.piece(token) for token in ids]
    stream = StreamDecoder(ours)
    shown = [stream.push(token) for token in ids]
    assert "🌍" in "".join(shown)
    assert all("\ufffd" not in text for text in shown)
    broken = [theirs.token_to_id(f"<0x{byte:02X}>") for byte in (0x41, 0xF0, 0x9F)]
    assert ours.decode(broken) == streamed(ours, broken) == "\ufffd" * 3  # as the library has it: all of the run
    assert ours.token_bytes(broken[1]) == b"\xf0"


def test_a_space_at_the_start_is_dropped_once_and_kept_within(folder: Path) -> None:
    ours, _ = pair(folder, "llama2")
    ids = ours.encode("hero heroes")
    assert ours.decode(ids) == "hero heroes"
    [first] = [place for place, token in enumerate(ids) if place and ours.token_bytes(token).startswith(b" ")]
    assert streamed(ours, ids[first:]) == "heroes"
    assert streamed(ours, ids[first:], ids[:first]) == " heroes"


def test_truncating_keeps_the_text_as_it_was(folder: Path) -> None:
    for name in ("llama2", "wordpiece", "qwen2"):
        ours, _ = pair(folder, name)
        text = "Ångström wear  capes 🌍 e\u0301 x"
        ids = ours.encode(text)
        for length in range(len(ids) + 1):
            start = truncate_text(ours, [text], length)
            assert text.startswith(start.text)
            assert start.ids == ids[:length]
            assert start.is_cut == (length < len(ids))
        assert truncate_text(ours, [text], len(ids)).text == text


SPECIAL = {
    "llama2": "<s>",
    "mistral": "<s>",
    "mistral in a sequence": "<s>",
    "gemma": "<s>",
    "qwen2": "<|endoftext|>",
    "smollm": "<|endoftext|>",
}


@pytest.mark.parametrize("name", SPECIAL)
def test_what_a_user_types_is_no_special_token(folder: Path, name: str) -> None:
    ours, theirs = pair(folder, name)
    mark = SPECIAL[name]
    number = ours.special_tokens[mark]
    parts = [(f"{mark}user ", True), (f"a {mark} hero", False), (f"{mark}", True), ("hero", False)]
    ids = ours.encode_parts(parts)
    second_mark = len(ids) - 1 - ids[::-1].index(number)
    assert [place for place, token in enumerate(ids) if token == number] == [0, second_mark]
    first, second = ids[1:second_mark], ids[second_mark + 1 :]
    # Each stretch as the library has it after a special token, its own special tokens unread.
    theirs.encode_special_tokens = True
    if name.startswith("mistral"):  # nothing is put before it there
        theirs.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    assert first == theirs.encode(f"user a {mark} hero", add_special_tokens=False).ids
    assert second == theirs.encode("hero", add_special_tokens=False).ids
    assert ours.encode_parts([(f"{mark}x", True), ("hero", False)]) == ours.encode(f"{mark}xhero", special=True)
    half = len(mark) // 2
    assert number not in ours.encode_parts([(mark[:half], True), (mark[half:], False)])
    assert ours.encode_parts([]) == []
