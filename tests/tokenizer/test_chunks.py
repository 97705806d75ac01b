"""Long texts in chunks: the same ids as those of the whole."""

import copy
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcli.errors import InputError
from gptcli.system.text_file import mark_length
from gptcli.tokenizer import Tokenizer, chunks, decode_chunks, encode_chunks, gpt2_tokenizer, patterns, tokenizer_for
from tests.amount import amount
from tests.tokenizer import reference
from tests.tokenizer.test_files import KINDS

GPT2 = gpt2_tokenizer()
# Every class that the patterns know, and what stands at their borders.
CHARACTERS = "ab'sdZ1½²!/,-é\u0301  \u00a0\u3000\n\n\r\t\x0b\x1c\x85\u2028你好、。カ。，！🌍"
TEXTS = st.lists(st.sampled_from(CHARACTERS) | st.sampled_from(["'ll", "'s", "<|endoftext|>", "  ", "heroes"])).map(
    "".join
)


def split(text: str, lengths: list[int]) -> list[str]:
    parts = []
    for length in lengths:
        parts.append(text[:length])
        text = text[length:]
    return [*parts, text]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    root: Path = tmp_path_factory.mktemp("chunks")
    made = {
        name: tokenizer_for(reference.save(reference.trained(**kind), root / name), None)
        for name, kind in KINDS.items()
    }
    return {"bundled": GPT2, **made}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bundled", *KINDS])
def test_chunks_give_the_ids_of_the_whole(
    tokenizers: dict[str, Tokenizer], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_ENOUGH", 1)  # cut wherever it is safe
    tokenizer = tokenizers[name]

    @settings(max_examples=amount(100, 500))
    @given(TEXTS, st.lists(st.integers(0, 9), max_size=12), st.booleans())
    def same(text: str, lengths: list[int], special: bool) -> None:
        for ahead in (False, True):
            parts = encode_chunks(tokenizer, split(text, lengths), special=special, ahead=ahead)
            assert [token for ids in parts for token in ids] == tokenizer.encode(text, special=special)

    same()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "cut"), patterns.SAFE_CUTS.items(), ids=["gpt2", "cl100k", "llama3", "qwen2", "o200k"]
)
def test_every_safe_cut_is_safe(pattern: str, cut: str) -> None:
    # Not only the last in a chunk: all places at once, piece by piece.
    import regex  # type: ignore[import-untyped]

    @settings(max_examples=amount(150, 800))
    @given(TEXTS)
    def same(text: str) -> None:
        places = [0, *(match.start() for match in re.finditer(cut, text)), len(text)]
        parts = [text[start:end] for start, end in pairwise(places)]
        assert [piece for part in parts for piece in regex.findall(pattern, part)] == regex.findall(pattern, text)

    same()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bundled", "neox", "prefix space", "llama3", "qwen2", "o200k"])
def test_long_texts_do_come_in_parts(tokenizers: dict[str, Tokenizer], name: str) -> None:
    parts = list(encode_chunks(tokenizers[name], ["some words and more. " * 50] * 1200))
    assert len(parts) > 4
    chinese = "你好，世界。这是一个测试！" * 50_000
    assert (len(list(encode_chunks(tokenizers[name], split(chinese, [300_000])))) > 1) == (name != "prefix space")


def test_reading_is_lazy() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "word " * 10_000

    assert next(encode_chunks(GPT2, endless()))[:2] == GPT2.encode("word word")


def test_a_mistake_far_into_a_text_is_heard_from_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_ENOUGH", 100)
    read = []

    def text() -> Iterator[str]:
        for number in range(1000):
            read.append(number)
            yield "some words " * 30 if number != 50 else "some words " * 29 + "and worse "

    def encode(text: str, *, special: bool = False) -> list[int]:
        if "worse" in text:
            raise InputError("no token for this")
        return [len(text)]

    tokenizer = copy.copy(GPT2)
    monkeypatch.setattr(tokenizer, "encode", encode)
    with pytest.raises(InputError, match="no token for this"):
        list(encode_chunks(tokenizer, text(), ahead=True))
    assert len(read) < 100


@pytest.mark.slow
def test_a_long_text_without_a_safe_place_is_searched_once() -> None:
    assert sum(map(len, encode_chunks(GPT2, ["a" * 100_000] * 20))) == 2_000_000 // 4


@given(st.binary(max_size=30), st.lists(st.integers(0, 5), max_size=8))
def test_bytes_decode_as_they_come_or_the_place_is_named(data: bytes, lengths: list[int]) -> None:
    parts, rest = [], data
    for length in lengths:
        parts.append(rest[:length])
        rest = rest[length:]
    parts.append(rest)
    try:
        mark_length(data, "it")
    except InputError:  # UTF-16
        with pytest.raises(InputError, match=r"^it is UTF-16"):
            list(decode_chunks(parts, "it"))
        return
    try:
        data.decode()
    except UnicodeDecodeError as error:
        with pytest.raises(
            InputError, match=rf"^it is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}$"
        ):
            list(decode_chunks(parts, "it"))
    else:
        assert "".join(decode_chunks(parts, "it")) == data.decode("utf-8-sig")
