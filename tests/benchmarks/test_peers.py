"""What gptcli is compared with runs the same model: each program writes the same tokens from the same weights."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from gptcli.system.bundled import bundled_folder
from gptcli.tokenizer import gpt2_tokenizer
from tests.benchmarks import peers
from tests.benchmarks.convert import to_tokenizer
from tests.benchmarks.neutral import read, shape_of

pytestmark = pytest.mark.slow
VOCAB = 300
END = {"bos_token_id": VOCAB - 1, "eos_token_id": VOCAB - 1}  # or transformers would not write some other token
SMALL = {**END, "vocab_size": VOCAB, "hidden_size": 32, "initializer_range": 0.4, "max_position_embeddings": 64}
ROTARY = {**SMALL, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {
        **END,
        "vocab_size": VOCAB,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 64,
        "initializer_range": 0.4,
    },
    "gpt_neo": {
        **SMALL,
        "num_layers": 2,
        "num_heads": 4,
        "window_size": 5,
        "attention_types": [[["global", "local"], 1]],
    },
    "gpt_neox": {**ROTARY, "rotary_pct": 0.25},
    "llama": {**ROTARY, "num_key_value_heads": 2, "rope_theta": 5000.0, "tie_word_embeddings": True},
    "qwen2": {**ROTARY, "num_key_value_heads": 2, "rope_theta": 5000.0, "tie_word_embeddings": False},
}
PROMPT = [7, 3, 250, 11, 11, 42, 9, 128, 77, 5, 1, 90]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizer")
    config = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    (made / "config.json").write_text(json.dumps({**config, "model_type": "gpt2", "vocab_size": VOCAB}))
    to_tokenizer(made, str(bundled_folder() / "gpt2-bpe" / "gpt2.tiktoken"))
    return made / "tokenizer.json"


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    made = tmp_path_factory.mktemp(request.param)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(request.param, **FAMILIES[request.param])).float()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # begin at zero, and would not be missed
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(made)
    shutil.copy(tokenizer, made)
    return made


def test_a_tokenizer_has_as_many_tokens_as_its_model(tokenizer: Path) -> None:
    """GPT-2's first ones, and one that ends a text."""
    made, ours = Tokenizer.from_file(str(tokenizer)), gpt2_tokenizer()
    assert made.get_vocab_size() == VOCAB
    assert made.token_to_id("<|endoftext|>") == VOCAB - 1
    ids = made.encode("the thin red hen").ids
    assert max(ids) > 256
    assert b"".join(ours.token_bytes(token) for token in ids) == b"the thin red hen"


def test_programs_write_the_same_tokens(folder: Path) -> None:
    threads = torch.get_num_threads()
    written = [
        peers.PROGRAMS[program](folder, "float32", threads)[0](PROMPT, 12)
        for program in ("transformers", "pytorch loop", "gptcli")
    ]
    assert len(set(written[0])) > 3
    assert written[1] == written[0]
    assert written[2] == written[0]


def test_weights_are_counted_as_they_are_multiplied(folder: Path) -> None:
    shape, weights = read(folder)
    matrices = sum(
        w.size for name, w in weights.items() if w.ndim == 2 and name not in ("embed.weight", "positions.weight")
    )
    assert shape == shape_of(folder)
    assert shape.per_token == matrices


def test_a_family_that_is_not_measured_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    with pytest.raises(ValueError, match="mamba is not among gpt2"):
        shape_of(tmp_path)
