"""What stands beside a tokenizer.json: added tokens with their numbers, and tokens with roles."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken
from tokenizers import Tokenizer as Library

from gptcli.errors import CheckpointError, InputError
from gptcli.tokenizer import tokenizer_for
from gptcli.tokenizer.prompt import prompt_ids
from tests.tokenizer import kinds, reference


def write(folder: Path, made: Library, **files: Any) -> Path:
    reference.save(made, folder)
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def entry(content: str, **options: bool) -> dict[str, Any]:
    return {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **options}


@pytest.mark.parametrize("name", ["qwen2", "llama2", "unigram"])
def test_tokens_of_the_table_are_added_where_they_are_next(tmp_path: Path, name: str) -> None:
    made = kinds.KINDS[name]()
    size = made.get_vocab_size()
    table = {str(size): entry("<|im_start|>"), str(size + 1): entry("<think>", special=False)}
    ours = tokenizer_for(write(tmp_path, made, tokenizer_config={"added_tokens_decoder": table}), size + 10)
    made.add_special_tokens(["<|im_start|>"])
    made.add_tokens([AddedToken("<think>", normalized=False)])
    for special in (False, True):
        made.encode_special_tokens = not special
        text = "a<|im_start|>hero<think> wear"
        assert ours.encode(text, special=special) == made.encode(text, add_special_tokens=False).ids
    assert ours.special_tokens["<|im_start|>"] == size
    assert "<think>" not in ours.special_tokens
    assert ours.n_vocab == size + 10
    assert ours.unused(size + 10) == list(range(size + 2, size + 10))
    assert ours.decode([size, size + 1, size + 5]) == "<|im_start|><think>"


def test_a_token_keeps_a_number_that_is_not_next(tmp_path: Path) -> None:
    made = kinds.KINDS["qwen2"]()
    size = made.get_vocab_size()
    files = {
        "added_tokens": {"<new>": size + 3},
        "tokenizer_config": {"added_tokens_decoder": {str(size + 7): entry("<end>")}},
    }
    ours = tokenizer_for(write(tmp_path, made, **files), None)
    assert ours.encode("a<new>b<end>", special=True) == [*ours.encode("a"), size + 3, *ours.encode("b"), size + 7]
    assert ours.n_vocab == size + 8
    assert ours.unused(ours.n_vocab) == [size, size + 1, size + 2, size + 4, size + 5, size + 6]
    assert ours.decode([size, *ours.encode("hero")]) == "hero"
    with pytest.raises(CheckpointError, match="9000, which it cannot have"):
        tokenizer_for(write(tmp_path, kinds.unigram(), added_tokens={"<new>": 9000}, tokenizer_config={}), None)


def test_roles_make_special(tmp_path: Path) -> None:
    made = kinds.llama2()
    made.add_tokens(["<|user|>"])
    files = {
        "tokenizer_config": {
            "eos_token": {"content": "</s>"},
            "additional_special_tokens": ["<|user|>"],
            "pad_token": "<none>",
        },
        "special_tokens_map": {"bos_token": "<s>", "eos_token": "<unk>"},
    }
    ours = tokenizer_for(write(tmp_path, made, **files), None)
    assert ours.roles == {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<none>"}
    assert ours.eos_id == made.token_to_id("</s>")
    number = made.token_to_id("<|user|>")
    assert ours.special_tokens["<|user|>"] == number
    assert number not in ours.encode("a<|user|>b")
    assert number in ours.encode("a<|user|>b", special=True)
    assert "<none>" not in ours.special_tokens
    assert ours.prefix_ids == [1]


def test_tokenizer_json_has_the_last_word_on_a_number(tmp_path: Path) -> None:
    made = kinds.KINDS["qwen2"]()
    table = {"999": entry("<|endoftext|>")}
    ours = tokenizer_for(write(tmp_path, made, tokenizer_config={"added_tokens_decoder": table}), None)
    assert ours.special_tokens == {"<|endoftext|>": made.token_to_id("<|endoftext|>")}


def test_a_post_processor_with_an_id_of_no_token_is_the_files_fault(tmp_path: Path) -> None:
    reference.save(reference.trained(300, special=["<s>"]), tmp_path)
    file = json.loads((tmp_path / "tokenizer.json").read_text())
    file["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [999999], "tokens": ["<s>"]}},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(file))
    with pytest.raises(CheckpointError, match="post_processor puts id 999,999 before every text"):
        tokenizer_for(tmp_path, 300)


def test_a_prompt_that_becomes_no_tokens_is_refused(tmp_path: Path) -> None:
    reference.save(reference.trained(300), tmp_path)
    file = json.loads((tmp_path / "tokenizer.json").read_text())
    file["normalizer"] = {"type": "Replace", "pattern": {"Regex": "."}, "content": ""}
    (tmp_path / "tokenizer.json").write_text(json.dumps(file))
    with pytest.raises(InputError, match="makes no tokens of 'hi the'"):
        prompt_ids(tokenizer_for(tmp_path, 300), "hi the")
