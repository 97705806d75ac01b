"""Each family's tokenizer, saved by transformers in the files that its checkpoints have: the same ids."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Tokenizer, GPTNeoXTokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter

from gptcli.system.bundled import bundled_folder
from gptcli.tokenizer import gpt2_tokenizer, tokenizer_for
from tests.tokenizer.reference import HARD_TEXT, trained

PLAIN = HARD_TEXT.replace("<|endoftext|>", "").replace("</s>", "").replace("<pad>", "")


def parts(special: list[str]) -> dict[str, Any]:
    """Vocabulary and merges of a small byte-level tokenizer."""
    model = json.loads(trained(special=special).to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def build(family: str) -> Any:
    if family == "gpt_neox":
        return GPTNeoXTokenizer(**parts(["<|endoftext|>", "<|padding|>"]))
    if family == "opt":
        names = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
        return GPT2Tokenizer(**parts(["<s>", "<pad>", "</s>", "<unk>"]), **names, add_bos_token=True)
    return GPT2Tokenizer(**parts(["<|endoftext|>"]))


@pytest.mark.parametrize(
    ("family", "layout"),
    [
        ("gpt2", "tokenizer.json"),
        ("gpt2", "vocab.json"),
        ("gpt_neox", "tokenizer.json"),
        ("opt", "tokenizer.json"),
        ("opt", "vocab.json"),
    ],
)
def test_ids(family: str, layout: str, tmp_path: Path) -> None:
    theirs = build(family)
    theirs.save_pretrained(tmp_path)
    if layout == "vocab.json":
        theirs.backend_tokenizer.model.save(str(tmp_path))
        (tmp_path / "tokenizer.json").unlink()
        # transformers 5 leaves this to tokenizer.json; the checkpoints that have none say it themselves.
        settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, "add_bos_token": family == "opt"}))
    ours = tokenizer_for(tmp_path, len(theirs))
    assert [*ours.prefix_ids, *ours.encode(PLAIN)] == theirs(PLAIN).input_ids
    assert ours.prefix_ids == ([2] if family == "opt" else [])
    assert ours.eos_id == theirs.eos_token_id


@pytest.mark.slow
def test_gpt2_bundled_vocabulary() -> None:
    """The bundled ranks, turned into vocab and merges and run by Hugging Face's library."""
    ranks = str(bundled_folder() / "gpt2-bpe" / "gpt2.tiktoken")
    vocab, merges = TikTokenConverter(ranks).extract_vocab_merges_from_model(ranks)
    theirs = GPT2Tokenizer(vocab={**vocab, "<|endoftext|>": 50256}, merges=merges)
    assert gpt2_tokenizer().encode(PLAIN) == theirs(PLAIN).input_ids
    assert len(theirs) == gpt2_tokenizer().n_vocab
