"""The tokenizer in JavaScript: the ids and texts of the one in Python, for every kind that a page runs."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import normalizers

from gptcli.errors import InputError
from gptcli.show.live.tokenizer import pack_tokenizer
from gptcli.tokenizer import AddedToken, RankTokenizer, Tokenizer, gpt2_tokenizer, patterns, tokenizer_for
from tests.show.live.node import run
from tests.tokenizer.kinds import KINDS
from tests.tokenizer.reference import HARD_TEXT, save
from tests.tokenizer.test_kinds import LINES, PIECES

NOT_RUN = ("unigram", "wordpiece")
LONE = ("\ud800x", "a\udc00\ud800", "\ud83d", "\ud83c\udf0d\ud83c")
MORE = (
    "x\ufeffy \ufeff",
    "ſs 'ſ 'S 'K",
    "\x85\x85 a\x85",
    "a" * 300,
    " " * 200 + "x",
    "<|endoftext|><|endoftext|>x",
    "🏳️‍🌈e\u0301\u0301 ﬁ",
)
ASK = """
return given.map(({ about, texts, tokens }) => {
  const { encode, token } = gptcliTokenizer(about);
  return { ids: texts.map(encode), texts: Array.from({ length: tokens }, (_, id) => token(id)) };
});
"""


def texts() -> list[str]:
    chosen = random.Random(5)
    letters = [chr(chosen.randrange(0x20, 0x3100)) for _ in range(200)]
    mixed = ("".join(chosen.choices([*PIECES, *letters], k=chosen.randrange(1, 12))) for _ in range(150))
    return [text for text in (*LINES, HARD_TEXT, *HARD_TEXT.split(" "), *LONE, *MORE, *mixed) if text]


def asked(tokenizer: Tokenizer, read: list[str]) -> dict[str, Any]:
    about = json.loads(pack_tokenizer(tokenizer, tokenizer.n_vocab))
    return {"about": about, "texts": read, "tokens": min(tokenizer.n_vocab, 3000)}


def expected(tokenizer: Tokenizer, text: str) -> list[int]:
    ids = [*tokenizer.prefix_ids, *tokenizer.encode(text)]
    return ids or [tokenizer.eos_id or 0]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    folder = tmp_path_factory.mktemp("kinds")
    for name, make in KINDS.items():
        save(make(), folder / name)
    ranks = {bytes([byte]): 255 - byte for byte in range(256)} | {b"he": 300, b"ll": 301, b"hell": 400, b" w": 500}
    made = RankTokenizer(
        "by rank",
        ranks,
        patterns._CL100K,
        ids={rank: rank if rank < 256 else rank + 7 for rank in ranks.values()},
        added=[
            AddedToken("<x>", 900, special=False, lstrip=True, rstrip=True),
            AddedToken("aa", 901, special=False, normalized=True),
        ],
        unmerged={600: b"\xe2\x82"},
        prefix_ids=[3],
        normal_forms=["NFKC"],
        prefix_space=True,
    )
    return {name: tokenizer_for(folder / name, None) for name in KINDS} | {"ours": gpt2_tokenizer(), "by rank": made}


@pytest.mark.slow
def test_every_kind_has_the_same_ids_and_texts(tokenizers: dict[str, Tokenizer]) -> None:
    known = {name: each for name, each in tokenizers.items() if name not in NOT_RUN}
    some = [*texts(), "a <x> <x>b aaa AAa ＡＡ"]
    for (name, tokenizer), said in zip(
        known.items(), run(ASK, [asked(each, some) for each in known.values()]), strict=True
    ):
        for text, ids in zip(some, said["ids"], strict=True):
            assert ids == expected(tokenizer, text), (name, text)
        ours = [tokenizer.token_bytes(token).decode("utf-8", "replace") for token in range(len(said["texts"]))]
        assert said["texts"] == ours, name


@pytest.mark.slow
def test_what_stands_before_every_text_and_what_no_text_is(tokenizers: dict[str, Tokenizer]) -> None:
    read = [*asked(tokenizers["llama3"], [""]).items()]
    empty, prefixed = run(ASK, [asked(tokenizers["ours"], [""]), dict(read)])
    assert empty["ids"] == [[50256]]
    assert prefixed["ids"] == [tokenizers["llama3"].prefix_ids]
    assert len(tokenizers["llama3"].prefix_ids) == 1


@pytest.mark.slow
def test_what_javascript_lacks_is_refused(tokenizers: dict[str, Tokenizer], tmp_path: Path) -> None:
    for name in NOT_RUN:
        with pytest.raises(
            InputError, match=rf"^a page cannot run the tokenizer of {name}: it lacks models other than .*$"
        ):
            pack_tokenizer(tokenizers[name], 100)
    odd = RankTokenizer("odd", {bytes([byte]): byte for byte in range(256)}, r"(a)\1|[\s\S]")
    with pytest.raises(InputError, match="it lacks the regular expression"):
        pack_tokenizer(odd, 256)
    made = KINDS["gpt2"]()
    made.normalizer = normalizers.StripAccents()
    save(made, tmp_path / "words")
    with pytest.raises(InputError, match="it lacks the normalizer StripAccents"):
        pack_tokenizer(tokenizer_for(tmp_path / "words", None), 700)


def test_a_byte_without_a_token_and_a_token_without_a_row() -> None:
    ranks = {bytes([byte]): byte for byte in range(256)}
    made = RankTokenizer(
        "lacking", ranks, patterns.GPT2, ids={rank: None if rank == 0x78 else rank for rank in range(256)}
    )
    tried = "const { encode } = gptcliTokenizer(given); try { encode('x'); } catch (error) { return error.message; }"
    assert run(tried, json.loads(pack_tokenizer(made, 256))) == "the vocabulary has no token for the byte 0x78"
    whole = RankTokenizer("whole", ranks, patterns.GPT2)
    assert run(tried, json.loads(pack_tokenizer(whole, 100))) == "the text holds token 120, which the model lacks"
