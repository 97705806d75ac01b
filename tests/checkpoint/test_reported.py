"""Checkpoints that users of other programs reported as failing: what transformers makes of the same folder."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPTJConfig, GPTNeoXConfig, OPTConfig
from typer.testing import CliRunner

from gptcli.cli.app import app
from tests.checkpoint.zoo import reference, rewrite
from tests.tokenizer.reference import save, trained

PROMPT = "heroes wear"
SIZE = 400


def folder(path: Path, config: Any = None, size: int = SIZE) -> Any:
    """A tiny model with a tokenizer of its own; returns transformers' model."""
    shape = {"vocab_size": size, "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
    theirs = reference(config or GPT2Config(**shape, bos_token_id=0, eos_token_id=0))
    theirs.save_pretrained(path)
    save(trained(SIZE), path)
    return theirs


def written(path: Path, *arguments: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["generate", "-m", str(path), "-t", "0", "--json", *arguments])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def greedy(path: Path, prompt: str, tokens: int) -> list[int]:
    """What transformers writes of this folder, after one prompt alone."""
    model = AutoModelForCausalLM.from_pretrained(path)
    ids = torch.tensor([AutoTokenizer.from_pretrained(path)(prompt, add_special_tokens=False).input_ids])
    with torch.inference_mode():
        found = model.generate(ids, max_new_tokens=tokens, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
    return list(map(int, found))


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["list", "number", "alone"])
def test_what_ends_a_text_stands_in_generation_config(shape: str, tmp_path: Path) -> None:
    folder(tmp_path)
    plain = greedy(tmp_path, PROMPT, 20)
    end = next(token for token in plain[1:] if token != plain[0])
    if shape == "alone":
        rewrite(tmp_path, fields=lambda fields: {**fields, "eos_token_id": None})
    file = tmp_path / "generation_config.json"
    told = json.loads(file.read_text()) | {"eos_token_id": [0, end] if shape == "list" else end}
    file.write_text(json.dumps(told))
    (got,) = written(tmp_path, PROMPT, "-n", "20")
    assert got["ids"] == greedy(tmp_path, PROMPT, 20) == plain[: plain.index(end) + 1]
    assert (got["finish_reason"], len(got["ids"]) < 20) == ("eos", True)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["tokenizer_config.json", "added_tokens.json"])
def test_added_tokens_next_to_a_tokenizer(where: str, tmp_path: Path) -> None:
    folder(tmp_path, size=SIZE + 4)
    roles = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>"}
    names = {SIZE: ("<|im_start|>", True), SIZE + 1: ("<|im_end|>", True), SIZE + 2: ("<think>", False)}
    if where == "tokenizer_config.json":
        entry = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
        roles["added_tokens_decoder"] = {  # type: ignore[assignment]
            str(number): {"content": text, "special": special, **entry} for number, (text, special) in names.items()
        }
    else:
        (tmp_path / where).write_text(json.dumps({text: number for number, (text, _) in names.items()}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(roles))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    run = CliRunner()
    for text in ("<|im_start|>user<|im_end|>", "a<think>b", "<|im_end|><|endoftext|>"):
        ids = run.invoke(app, ["tokenize", "-m", str(tmp_path), "--special", "--ids", text]).stdout.split()
        assert list(map(int, ids)) == theirs(text, add_special_tokens=False).input_ids
        assert run.invoke(app, ["tokenize", "-m", str(tmp_path), "--decode", *ids]).stdout == text
    (got,) = written(tmp_path, PROMPT, "-n", "2", "--logit-bias", "<|im_end|>=100")
    assert (got["ids"], got["completion"]) == ([SIZE + 1] * 2, "<|im_end|>" * 2)


SMALL = {
    "gpt_neox": GPTNeoXConfig(
        vocab_size=SIZE, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=64, bos_token_id=0, eos_token_id=0,
    ),
    "gptj": GPTJConfig(
        vocab_size=SIZE, n_embd=16, n_layer=2, n_head=2, rotary_dim=4, n_positions=64, bos_token_id=0, eos_token_id=0
    ),
    "opt": OPTConfig(
        vocab_size=SIZE, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, ffn_dim=24, dropout=0.0,
        word_embed_proj_dim=8, max_position_embeddings=64, bos_token_id=0, eos_token_id=0, pad_token_id=0,
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", SMALL)
def test_prompts_of_a_batch_are_continued_as_alone(family: str, tmp_path: Path) -> None:
    """Elsewhere the shorter ones go wrong, with padding in front of them."""
    folder(tmp_path, SMALL[family])
    prompts = ["a", PROMPT, "Not all heroes wear capes, they'll say; it's 2024 and"]
    got = written(tmp_path, *prompts, "-n", "8", "--ignore-eos")
    for each, prompt in zip(got, prompts, strict=True):
        expected = greedy(tmp_path, prompt, 8)
        assert each["ids"][: len(expected)] == expected
        assert len(expected) == 8 or expected[-1] == 0


@pytest.mark.parametrize("name", ["gelu_accurate", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"])
def test_names_of_one_activation(name: str, tmp_path: Path) -> None:
    folder(tmp_path)
    rewrite(tmp_path, fields=lambda fields: {**fields, "activation_function": name})
    (got,) = written(tmp_path, PROMPT, "-n", "4", "--ignore-eos")
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.inference_mode():
        logits = model(torch.tensor([[*got["prompt_ids"], *got["ids"]]])).logits[0].log_softmax(-1)
    places = range(len(got["prompt_ids"]) - 1, len(got["prompt_ids"]) + 3)
    expected = [float(logits[place, token]) for place, token in zip(places, got["ids"], strict=True)]
    assert got["logprobs"] == pytest.approx(expected, abs=1e-4)


def test_scales_of_one_are_no_other_model(tmp_path: Path) -> None:
    """As some exports have them: muP that is switched off."""
    folder(tmp_path)
    plain = written(tmp_path, PROMPT, "-n", "4", "--ignore-eos")[0]
    off = {"mup_scale_qk_dot_by_d": False, "mup_width_scale": 1.0, "mup_output_alpha": 1.0, "mup_embeddings_scale": 1}
    rewrite(tmp_path, fields=lambda fields: {**fields, **off})
    assert written(tmp_path, PROMPT, "-n", "4", "--ignore-eos")[0]["logprobs"] == plain["logprobs"]
