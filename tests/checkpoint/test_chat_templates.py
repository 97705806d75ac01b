"""Where chat templates lie, and generation_config.json."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig as Reference

from gptcli.checkpoint.chat_templates import ChatTemplates, read_chat_templates
from gptcli.checkpoint.generation_config import read_generation_config
from gptcli.errors import CheckpointError, InputError
from gptcli.generation.chat.layout import starting_sampling
from gptcli.sampling.settings import Sampling


def folder(path: Path, **files: Any) -> Path:
    for name, content in files.items():
        place = path / name.replace("__", "/").replace("_json", ".json").replace("_jinja", ".jinja")
        place.parent.mkdir(exist_ok=True)
        place.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def texts(templates: ChatTemplates) -> dict[str, str]:
    return {name: each.text for name, each in templates.by_name.items()}


def test_where_templates_lie(tmp_path: Path) -> None:
    assert texts(read_chat_templates(tmp_path)) == {}
    assert read_chat_templates(tmp_path).choose() is None
    folder(tmp_path, tokenizer_config_json={"chat_template": "a", "eos_token": "</s>", "bos_token": {"content": "<s>"}})
    assert texts(read_chat_templates(tmp_path)) == {"default": "a"}
    several = [{"name": "default", "template": "b"}, {"name": "tool_use", "template": "c"}]
    folder(tmp_path, tokenizer_config_json={"chat_template": several})
    assert texts(read_chat_templates(tmp_path)) == {"default": "b", "tool_use": "c"}
    folder(tmp_path, chat_template_jinja="d", additional_chat_templates__rag_jinja="é")
    found = read_chat_templates(tmp_path)
    assert texts(found) == {"default": "d", "tool_use": "c", "rag": "é"}
    assert found.by_name["default"].place == str(tmp_path / "chat_template.jinja")
    assert (found.choose(), found.choose("rag")) == (found.by_name["default"], found.by_name["rag"])
    with pytest.raises(InputError, match=r"--template x\.\./y: the model's chat templates are default, tool_use, rag"):
        found.choose("x../y")


def test_which_one_is_meant(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--template rag: the model has no chat template"):
        read_chat_templates(tmp_path).choose("rag")
    folder(tmp_path, additional_chat_templates__rag_jinja="a")
    assert read_chat_templates(tmp_path).choose() == read_chat_templates(tmp_path).by_name["rag"]
    folder(tmp_path, additional_chat_templates__tools_jinja="a")
    with pytest.raises(InputError, match=r"several chat templates: choose one with --template \(rag, tools\)"):
        read_chat_templates(tmp_path).choose()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"tokenizer_config_json": {"chat_template": 3}}, "tokenizer_config.json: chat_template should be a text"),
        ({"tokenizer_config_json": {"chat_template": [{"name": "x"}]}}, "chat_template should be a text"),
        ({"tokenizer_config_json": {"chat_template": ["x"] * 200}}, "chat_template should be a text"),
        ({"tokenizer_config_json": "[1"}, "tokenizer_config.json is not valid JSON"),
        ({"tokenizer_config_json": {"chat_template": "x" * 1_000_001}}, "1,000,001 characters"),
        ({"chat_template_jinja": "x" * 1_000_001}, "chat_template.jinja: the chat template has 1,000,001 characters"),
        ({f"additional_chat_templates__{n}_jinja": "x" for n in range(101)}, "holds 101 templates"),
    ],
)
def test_broken_files(tmp_path: Path, files: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError) as told:
        read_chat_templates(folder(tmp_path, **files))
    assert said in str(told.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes(b"caf\xe9")
    with pytest.raises(CheckpointError, match=r"chat_template\.jinja is not UTF-8: byte 0xe9"):
        read_chat_templates(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    (tmp_path / "additional_chat_templates").mkdir()
    os.mkfifo(tmp_path / "additional_chat_templates" / "x.jinja")
    with pytest.raises(CheckpointError, match="is missing, or is not a regular file"):
        read_chat_templates(tmp_path)


# What ends a text, and what a chat starts with.


@pytest.mark.parametrize(
    ("given", "eos", "sampling"),
    [
        ({}, (), {}),
        ({"eos_token_id": 5, "pad_token_id": -1, "max_length": 20}, (5,), {}),
        ({"eos_token_id": [5, 7], "temperature": None}, (5, 7), {}),
        ({"do_sample": False, "temperature": 0.5, "repetition_penalty": 1.1}, (),
         {"temperature": 0.0, "repetition_penalty": 1.1}),
        ({"do_sample": True}, (), {"temperature": 1.0, "top_k": 50, "top_p": 1.0}),
        ({"do_sample": True, "temperature": 0.6, "top_p": 0.9}, (), {"temperature": 0.6, "top_k": 50, "top_p": 0.9}),
        ({"top_k": 20, "min_p": 0, "typical_p": 1.0, "no_repeat_ngram_size": 3, "diversity_penalty": 0.5}, (),
         {"temperature": 1.0, "top_k": 20, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0, "no_repeat_ngram": 3}),
    ],
)  # fmt: skip
def test_what_generation_config_says(
    tmp_path: Path, given: dict[str, Any], eos: tuple[int, ...], sampling: dict[str, Any]
) -> None:
    made = read_generation_config(folder(tmp_path, generation_config_json=given))
    assert (made.eos_ids, made.sampling()) == (eos, sampling)
    assert Sampling(**sampling)


def test_what_is_left_out_is_what_transformers_takes() -> None:
    defaults = Reference()._get_default_generation_params()
    assert {name: defaults[name] for name in ("temperature", "top_k", "top_p")} == {
        "temperature": 1.0, "top_k": 50, "top_p": 1.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": "hot"}, "temperature is 'hot', and should be a number"),
        ({"top_k": 1.5}, "top_k is 1.5, and should be a whole number"),
        ({"top_p": True}, "top_p is True, and should be a number"),
        ({"temperature": 1e400}, "is not"),
        ({"do_sample": "yes"}, "do_sample is 'yes', and should be true or false"),
        ({"top_p": 2}, "--top-p 2.0: it must be above 0 and at most 1"),
        ({"temperature": -1}, "--temperature -1.0: it must be"),
    ],
)
def test_settings_that_are_none(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    text = json.dumps(given).replace("Infinity", "1e400")
    made = read_generation_config(folder(tmp_path, generation_config_json=text))
    assert made.eos_ids == ()
    with pytest.raises(CheckpointError) as told:
        starting_sampling(Sampling(), set(), made)
    assert str(tmp_path / "generation_config.json") in str(told.value)
    assert said in str(told.value) or said == "is not"


@pytest.mark.parametrize("eos", ["x", [1, "x"], 1.5, {"a": 1}, [True]])
def test_ends_that_are_no_ids(tmp_path: Path, eos: Any) -> None:
    with pytest.raises(CheckpointError, match=r"eos_token_id is .*, and should be a token id or a list of them"):
        read_generation_config(folder(tmp_path, generation_config_json={"eos_token_id": eos}))


def test_what_is_given_wins(tmp_path: Path) -> None:
    made = read_generation_config(folder(tmp_path, generation_config_json={"do_sample": True, "temperature": 0.6}))
    chosen = Sampling(temperature=0.8, top_k=40, min_p=0.1)
    assert starting_sampling(chosen, {"temperature"}, made) == Sampling(temperature=0.8, top_k=50, min_p=0.1)
    assert starting_sampling(chosen, set(), made) == Sampling(temperature=0.6, top_k=50, min_p=0.1)
