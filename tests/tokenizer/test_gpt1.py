"""GPT-1's word-level tokenizer against Hugging Face's, on small vocabularies in the family's own files."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers, trainers
from transformers import OpenAIGPTTokenizer

from gptcli.errors import CheckpointError, InputError
from gptcli.generation.loop import Limits
from gptcli.generation.writing import Request, Writing
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import StreamDecoder, Tokenizer, encode_chunks, tokenizer_for
from tests.tokenizer.reference import HARD_TEXT
from tests.toy_engine import ToyEngine


def trained() -> tokenizers.Tokenizer:
    """A tokenizer of GPT-1's kind, trained on part of the hard text, so that the rest has unknown characters."""
    made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    made.train_from_iterator([HARD_TEXT.replace("ไทย", "").replace("🌍", "")] * 3, trainer)
    return made


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("gpt1")
    model = json.loads(trained().to_str())["model"]
    return OpenAIGPTTokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]]), folder


@pytest.fixture(scope="module", params=["tokenizer.json", "vocab.json"])
def ours(request: pytest.FixtureRequest, theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("saved")
    if request.param == "tokenizer.json":
        theirs[0].save_pretrained(folder)
    else:
        theirs[0].backend_tokenizer.model.save(str(folder))
        (folder / "special_tokens_map.json").write_text('{"unk_token": "<unk>"}')
    assert (folder / request.param).is_file()
    return tokenizer_for(folder, 400)


def ids(theirs: Any, text: str) -> list[int]:
    found: list[int] = theirs[0].backend_tokenizer.encode(text, add_special_tokens=False).ids
    return found


def test_hard_text(ours: Tokenizer, theirs: Any) -> None:
    text = HARD_TEXT.replace("<|endoftext|>", "").replace("</s>", "")
    assert ours.encode(text) == ids(theirs, text)
    assert ours.encode(text).count(0) > 3  # unknown characters are among them
    assert ours.n_vocab == 400
    assert ours.eos_id is None


@pytest.mark.slow
def test_each_character_alone_and_between_letters(ours: Tokenizer, theirs: Any) -> None:
    """Blocks to which Unicode added no marks after version 8, where the Rust library's tables end."""
    blocks = [
        *range(0x500),
        *range(0x591, 0x61D),
        *range(0x1E00, 0x2E43),
        *range(0x3000, 0x9FA0),
        *range(0xAC00, 0xD7A4),
    ]
    for code in [
        *blocks[:0x500],
        *random.Random(0).sample(blocks, 2000),
        *range(0xFF00, 0xFFFF),
        0x1F30D,
        0x2A6D6,
        0xE0001,
    ]:
        for text in (chr(code), f"a{chr(code)}b"):
            assert ours.encode(text) == ids(theirs, text), hex(code)


@given(st.text(st.sampled_from("aAbetTé 'the,.İßΣσ\u0301中\n\t\0\u200d\u3000ж"), max_size=30))
def test_any_text(ours: Tokenizer, theirs: Any, text: str) -> None:
    assert ours.encode(text) == ids(theirs, text)


def test_decoding_restores_words(ours: Tokenizer, theirs: Any) -> None:
    text = "not all heroes wear capes , they ' ll say ; it ' s"
    found = ours.encode("Not all heroes wear capes, they'll say; it's")
    assert ours.decode(found) == text == theirs[0].backend_tokenizer.decode(found)
    stream = StreamDecoder(ours)
    assert "".join(map(stream.push, found)) + stream.finish() == ours.decode(found)


@pytest.mark.parametrize(("prompt", "gap"), [("not all", " "), ("not all ", ""), ("not all\n", "")])
def test_continuation_does_not_stick_to_the_prompt(prompt: str, gap: str, ours: Tokenizer) -> None:
    (word,) = ours.encode("wear")
    engine = ToyEngine(np.eye(400)[[word] * 400])
    request = Request([prompt], Sampling(temperature=0), Limits(2), seed=0)
    texts = Writing(engine, ours, request, n_vocab=330)
    assert "".join(piece.text for piece in texts) == f"{gap}wear wear"


def test_merges_build_the_tokens(ours: Tokenizer) -> None:
    pieces = list(ours.merges("they'll trail trailing"))
    assert [piece.text for piece in pieces] == [b"they ", b"' ", b"ll ", b"trail ", b"trailing "]
    assert [token for piece in pieces for token in piece.ids] == ours.encode("they'll trail trailing")
    for piece in pieces:
        assert b"".join(token.token for token in piece.tokens) == piece.text
        for step in piece.merges:
            assert step.left + step.right in step.parts
            assert b"".join(step.parts) == piece.text
        assert not piece.merges or piece.merges[-1].parts == tuple(token.token for token in piece.tokens)


def test_special_tokens_only_where_asked(ours: Tokenizer) -> None:
    assert ours.encode("<unk>", special=True) == [0]
    assert len(ours.encode("<unk>")) > 1


@pytest.mark.slow
def test_long_words_take_linear_time(ours: Tokenizer, theirs: Any) -> None:
    word = "trailing" * 20_000
    assert ours.encode(word) == ids(theirs, word)


def test_chunks(ours: Tokenizer) -> None:
    text = HARD_TEXT * 3
    chunks = [text[place : place + 7] for place in range(0, len(text), 7)]
    assert [token for part in encode_chunks(ours, chunks) for token in part] == ours.encode(text)


@pytest.mark.parametrize("options", [{"lowercase": False}, {"strip_accents": False}, {"handle_chinese_chars": False}])
def test_normalizer_options(options: dict[str, bool], tmp_path: Path) -> None:
    made = trained()
    made.normalizer = normalizers.BertNormalizer(**options)
    made.save(str(tmp_path / "tokenizer.json"))
    assert tokenizer_for(tmp_path, None).encode(HARD_TEXT) == made.encode(HARD_TEXT).ids


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"normalizer": {"type": "Bert"}}, "is no tokenizer"),
        ({"vocab": {"a": "b"}}, "is no tokenizer"),
        ({"merges": [["q", "zzz</w>"]]}, "is no tokenizer"),
        ({"unk_token": []}, "is no tokenizer"),
    ],
)
def test_broken_files(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    root = json.loads(trained().to_str())
    (root if change.keys() & root.keys() else root["model"]).update(change)
    (tmp_path / "tokenizer.json").write_text(json.dumps(root))
    with pytest.raises((CheckpointError, InputError), match=said):
        tokenizer_for(tmp_path, None).encode("ไทย")
