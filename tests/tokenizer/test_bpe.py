"""GPT-2's tokenizer, from the bundled file, against the published figures and tiktoken itself."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcli.errors import CheckpointError, GptcliError, InputError
from gptcli.system.bundled import bundled_folder
from gptcli.tokenizer import RankTokenizer, StreamDecoder, encoding_names, gpt2_tokenizer, patterns, tiktoken_encoding
from gptcli.tokenizer.token import Token
from tests.tokenizer.reference import HARD_TEXT

GPT2 = gpt2_tokenizer()
# The engine with the pattern as GPT-2's release has it, and with end-of-text as a special token of its own.
ALONE = tiktoken.Encoding(
    "alone", pat_str=patterns.GPT2_AS_PUBLISHED, mergeable_ranks=GPT2._ranks, special_tokens={"<|endoftext|>": 50256}
)


def test_the_bundled_ranks_are_the_published_ones() -> None:
    data = (bundled_folder() / "gpt2-bpe" / "gpt2.tiktoken").read_bytes()
    assert hashlib.sha256(data).hexdigest() == "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
    ranks = {base64.b64decode(word): int(rank) for word, rank in map(bytes.split, data.splitlines())}
    assert ranks == GPT2._ranks
    assert GPT2.n_vocab == 50257
    assert GPT2.special_tokens == {"<|endoftext|>": 50256}
    assert GPT2.eos_id == 50256
    assert GPT2.prefix_ids == []


@pytest.mark.parametrize("damage", [lambda data: data[:1000], lambda data: b"", lambda data: data + b"IQ== 7\n"])
def test_a_damaged_file_of_ranks_is_named(
    damage: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (bundled_folder() / "gpt2-bpe" / "gpt2.tiktoken").read_bytes()
    (tmp_path / "gpt2-bpe").mkdir()
    (tmp_path / "gpt2-bpe" / "gpt2.tiktoken").write_bytes(damage(whole))
    monkeypatch.setattr("gptcli.tokenizer.named.bundled_folder", lambda: tmp_path)
    with pytest.raises(CheckpointError, match=r"gpt2\.tiktoken, which belongs to gptcli, .* install again"):
        gpt2_tokenizer.__wrapped__()


def test_published_ids() -> None:
    assert GPT2.encode("Not all heroes wear capes") == [3673, 477, 10281, 5806, 1451, 274]
    assert GPT2.encode("hello world") == [31373, 995]
    assert [GPT2.token_bytes(token) for token in (0, 220, 262, 50255, 50256)] == [
        b"!",
        b" ",
        b" the",
        b" gazed",
        b"<|endoftext|>",
    ]


def test_special_tokens_in_text_are_text_unless_asked_for() -> None:
    assert GPT2.encode("a<|endoftext|>") == [64, 27, 91, 437, 1659, 5239, 91, 29]
    assert GPT2.encode("a<|endoftext|>b", special=True) == [64, 50256, 65]
    assert GPT2.decode([64, 50256, 65]) == "a<|endoftext|>b"


@pytest.mark.slow
@given(st.text(max_size=60), st.booleans())
@settings(max_examples=300)
def test_encode_is_tiktokens_and_decodes_to_the_text(text: str, special: bool) -> None:
    text = text + "<|endoftext|>" + text[::-1]
    ids = GPT2.encode(text, special=special)
    assert ids == ALONE.encode(text, allowed_special="all" if special else set(), disallowed_special=())
    assert GPT2.decode(ids) == text


@pytest.mark.slow
@given(st.text(max_size=60) | st.text(" aeinst,'\n1é語\ud800", max_size=160))
@settings(max_examples=200)
def test_the_first_short_texts_need_not_all_ranks(text: str) -> None:
    ranks = gpt2_tokenizer()._ranks
    young = RankTokenizer("young", ranks, patterns.GPT2)
    assert young.encode(text) == ALONE.encode_ordinary(text)
    assert "_encoding" not in vars(young) or len(text) > 40  # 160 bytes


def test_many_short_texts_use_all_ranks() -> None:
    tokenizer = RankTokenizer("young", gpt2_tokenizer()._ranks, patterns.GPT2)
    for number in range(20):
        assert tokenizer.encode(f"word {number}") == ALONE.encode_ordinary(f"word {number}")
    assert "_encoding" in vars(tokenizer)


def test_hard_text() -> None:
    assert GPT2.encode(HARD_TEXT) == ALONE.encode_ordinary(HARD_TEXT)


@pytest.mark.slow
@given(st.lists(st.integers(0, 50256), max_size=40))
@settings(max_examples=200)
def test_a_stream_of_ids_gives_the_text_of_all(ids: list[int]) -> None:
    stream = StreamDecoder(GPT2)
    shown = [stream.push(token) for token in ids]
    assert "".join(shown) + stream.finish() == GPT2.decode(ids) == ALONE.decode(ids)


def test_a_character_over_several_tokens_comes_whole() -> None:
    stream = StreamDecoder(GPT2)
    assert [stream.push(token) for token in GPT2.encode(" 🌍!")] == [" ", "", "🌍", "!"]
    assert stream.finish() == ""
    assert stream.push(GPT2.encode(" 🌍")[0]) == " "
    assert stream.finish() == "\ufffd"
    assert stream.finish() == ""


@pytest.mark.parametrize("token", [50257, -1, 2**70])
def test_an_id_out_of_range_is_named(token: int) -> None:
    for action in (GPT2.decode, GPT2.decode_bytes):
        with pytest.raises(InputError, match=rf"id {token} is not in the vocabulary of gpt2: ids run from 0 to 50256"):
            action([0, token])
    with pytest.raises(InputError, match="50256"):
        StreamDecoder(GPT2).push(token)


def test_lone_surrogates_become_the_replacement_character() -> None:
    assert GPT2.decode(GPT2.encode("a\ud800b\udc80")) == "a\ufffdb\ufffd"
    assert "".join(p.text.decode() for p in GPT2.merges("a\ud800b")) == "a\ufffdb"


LONG = 1_200_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", [" " * LONG, " " * LONG + "a", "a" + "\n" * LONG + "b", "\t" * LONG + "\x1c x", "a" * LONG]
)
def test_long_runs_neither_crash_nor_hang(text: str) -> None:
    ids = GPT2.encode(text)
    assert GPT2.decode(ids) == text


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "x", "!\n"])
@pytest.mark.parametrize("after", ["", "y", "\x1cy", " y", "\n"])
@pytest.mark.parametrize("space", [" ", "\n", "\u3000"])
def test_long_runs_give_the_ids_of_the_engine(before: str, after: str, space: str) -> None:
    text = before + space * 150_000 + after  # long enough for the detour, short enough for tiktoken alone
    assert GPT2.encode(text) == ALONE.encode_ordinary(text)


def test_other_patterns_refuse_the_longest_runs() -> None:
    other = RankTokenizer("other", GPT2._ranks, patterns.GPT2_AS_PUBLISHED)
    with pytest.raises(InputError, match="run of over"):
        other.encode(" " * 150_000 + "a")


def test_merges_step_by_step() -> None:
    heroes, capes = GPT2.merges(" heroes capes")
    assert [(step.rank, step.left, step.right) for step in heroes.merges] == [
        (258, b"h", b"e"),
        (274, b"e", b"s"),
        (305, b"r", b"o"),
        (339, b" ", b"he"),
        (4293, b" he", b"ro"),
        (10281, b" hero", b"es"),
    ]
    assert heroes.merges[2].parts == (b" ", b"he", b"ro", b"es")
    assert heroes.tokens == (Token(10281, b" heroes"),)
    assert capes.tokens == (Token(1451, b" cap"), Token(274, b"es"))


@pytest.mark.slow
@given(st.text(max_size=40))
@settings(max_examples=150)
def test_merges_end_in_the_tokens(text: str) -> None:
    pieces = list(GPT2.merges(text))
    assert [token for piece in pieces for token in piece.ids] == GPT2.encode(text)
    assert b"".join(piece.text for piece in pieces) == text.encode()


def test_a_long_piece_comes_without_its_steps() -> None:
    (piece,) = GPT2.merges("ab" * 5000)
    assert piece.merges == ()
    assert list(piece.ids) == GPT2.encode("ab" * 5000)


def test_encodings_by_name() -> None:
    assert tiktoken_encoding("r50k_base") is GPT2
    assert {"gpt2", "cl100k_base", "o200k_base"} <= set(encoding_names())
    with pytest.raises(InputError, match=r"no encoding 'nope'.*cl100k_base"):
        tiktoken_encoding("nope")


def test_an_encoding_that_is_not_cached_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    def offline(url: str) -> bytes:
        raise ConnectionError(url)

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("tiktoken.load.read_file", offline)
    with pytest.raises(GptcliError, match=r"p50k_base.*TIKTOKEN_CACHE_DIR") as caught:
        tiktoken_encoding("p50k_base")
    assert caught.value.exit_code == 1


def test_an_encoding_from_tiktoken(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiktoken.Encoding(
        "small", pat_str=patterns._CL100K, mergeable_ranks=GPT2._ranks, special_tokens={"<|fim|>": 60000}
    )
    monkeypatch.setattr("tiktoken.get_encoding", lambda name: made)
    ours = tiktoken_encoding("o200k_base")
    assert ours.encode(HARD_TEXT) == made.encode_ordinary(HARD_TEXT)
    assert ours.encode("x<|fim|>", special=True) == [87, 60000]
    assert ours.eos_id is None


def test_the_patterns_that_we_know_are_tiktokens(monkeypatch: pytest.MonkeyPatch) -> None:
    from tiktoken_ext import openai_public  # type: ignore[import-untyped]

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *args, **kwargs: {})
    assert openai_public.r50k_base()["pat_str"] == patterns.GPT2
    assert openai_public.cl100k_base()["pat_str"] == patterns._CL100K
    assert openai_public.o200k_base()["pat_str"] == patterns._O200K
