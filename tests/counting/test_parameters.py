"""Counting by name: what is looked up in which order, and what the files say beside the configuration."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gptcli.counting.parameters import count_parameters
from gptcli.errors import CheckpointError, InputError, ModelNotFound
from gptcli.model.config import GPTConfig
from gptcli.model.shapes import parameter_shapes
from tests.tales import LAYERS

TINY = GPTConfig(vocab_size=11, n_positions=8, n_embd=64, n_layer=2, n_head=2)


def checkpoint(folder: Path, config: GPTConfig = TINY, *, with_config: bool = True) -> Path:
    """A GPT-2 folder with our own key names."""
    folder.mkdir(exist_ok=True)
    tensors = {name: np.zeros(shape, np.float16) for name, shape in parameter_shapes(config).items()}
    save_file(tensors, folder / "model.safetensors")
    if with_config:
        fields = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
        values: dict[str, Any] = {name: getattr(config, name) for name in fields}
        (folder / "config.json").write_text(
            json.dumps({"model_type": "gpt2", "tie_word_embeddings": config.tied} | values)
        )
    return folder


def test_a_checkpoint_of_transformers_is_counted_as_transformers_does(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=77, n_positions=9, n_embd=48, n_layer=3, n_head=4, n_inner=20, bos_token_id=0, eos_token_id=0
    )
    model = GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    answer = count_parameters(str(tmp_path))
    assert answer.parameters == model.num_parameters()
    assert (answer.origin, answer.family) == ("checkpoint", "gpt2")
    assert answer.stored is not None
    assert answer.stored.difference == 0
    assert len(answer.stored.files) > 1


def families() -> dict[str, Any]:
    """A small model of every family, with the oddities that change what is counted."""
    import transformers as t

    same: dict[str, Any] = {"vocab_size": 61, "bos_token_id": 0, "eos_token_id": 0}
    opt = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "ffn_dim": 40} | same
    neox = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 40} | same
    return {
        "gpt2-untied": t.GPT2LMHeadModel(
            t.GPT2Config(n_positions=9, n_embd=24, n_layer=2, n_head=3, tie_word_embeddings=False, **same)
        ),
        "gpt_neo": t.GPTNeoForCausalLM(
            t.GPTNeoConfig(
                max_position_embeddings=9,
                hidden_size=24,
                num_layers=2,
                num_heads=3,
                attention_types=[[["global", "local"], 1]],
                **same,
            )
        ),
        "gptj": t.GPTJForCausalLM(
            t.GPTJConfig(n_positions=9, n_embd=24, n_layer=2, n_head=3, rotary_dim=4, tie_word_embeddings=False, **same)
        ),
        "gpt_neox": t.GPTNeoXForCausalLM(t.GPTNeoXConfig(max_position_embeddings=9, **neox)),
        "opt": t.OPTForCausalLM(t.OPTConfig(max_position_embeddings=9, pad_token_id=1, **opt)),
        "opt-350m": t.OPTForCausalLM(
            t.OPTConfig(
                max_position_embeddings=9, pad_token_id=1, word_embed_proj_dim=10, do_layer_norm_before=False, **opt
            )
        ),
        "openai-gpt": t.OpenAIGPTLMHeadModel(
            t.OpenAIGPTConfig(vocab_size=61, n_positions=9, n_embd=24, n_layer=2, n_head=3)
        ),
    }


def test_every_family_s_checkpoint_is_counted_as_transformers_does(tmp_path: Path) -> None:
    for name, model in families().items():
        model.save_pretrained(tmp_path / name)
        answer = count_parameters(str(tmp_path / name))
        assert (name, answer.origin, answer.parameters) == (name, "checkpoint", model.num_parameters())
        assert answer.stored is not None
        assert answer.stored.difference == 0


def test_buffers_and_a_stored_tied_unembedding_are_named_and_not_counted(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "x")
    plain = count_parameters(str(folder)).parameters
    masks: dict[str, np.ndarray] = {f"h.{layer}.attn.bias": np.zeros((1, 1, 8, 8), np.float32) for layer in range(2)}
    tensors = load_file(folder / "model.safetensors") | masks | {"lm_head.weight": np.zeros((11, 64), np.float16)}
    save_file(tensors, folder / "model.safetensors")
    answer = count_parameters(str(folder))
    assert answer.stored is not None
    assert [(kind.name, kind.count) for kind in answer.stored.buffers] == [("h.*.attn.bias", 128)]
    assert [(kind.name, kind.count) for kind in answer.stored.duplicates] == [("lm_head.weight", 704)]
    assert answer.stored.count == plain + 128 + 704
    assert answer.parameters == answer.stored.parameters == plain
    assert answer.stored.difference == 0


def test_a_config_without_weights_is_enough(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "x")
    expected = count_parameters(str(folder)).parameters
    (folder / "model.safetensors").unlink()
    answer = count_parameters(str(folder))
    assert (answer.origin, answer.parameters, answer.stored) == ("config", expected, None)


def test_a_lone_file_says_what_was_inferred(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "x", with_config=False)
    answer = count_parameters(str(folder / "model.safetensors"), n_head=2)
    assert answer.config is not None
    assert (answer.config.n_head, answer.origin) == (2, "checkpoint")
    assert any("inferred" in note for note in answer.notes)


def test_files_that_do_not_fit_their_configuration_say_by_how_much(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "x")
    tensors = load_file(folder / "model.safetensors")
    del tensors["h.1.ln_2.weight"]
    save_file(tensors, folder / "model.safetensors")
    answer = count_parameters(str(folder))
    assert answer.stored is not None
    assert answer.stored.difference == -64
    assert answer.parameters == answer.stored.parameters + 64
    assert "missing h.1.ln_2.weight" in answer.notes[0]


def test_what_no_family_reads_is_counted_tensor_by_tensor(tmp_path: Path) -> None:
    save_file({"a.0.w": np.zeros((2, 3)), "a.1.w": np.zeros((2, 3))}, tmp_path / "x.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "something-else"}')
    answer = count_parameters(str(tmp_path / "x.safetensors"))
    assert (answer.origin, answer.family, answer.parameters, answer.config) == ("tensors", None, 12, None)
    assert "something-else" in answer.notes[0]


def test_word_vectors_are_counted() -> None:
    answer = count_parameters("glove-50d")
    assert (answer.origin, answer.family, answer.parameters) == ("tensors", "word-vectors", 5_000_000)
    assert answer.notes == ()


def test_the_bundled_gpt_agrees_with_its_file() -> None:
    answer = count_parameters("tales")
    assert answer.stored is not None
    # 50,257 x 256 tokens and 512 x 256 positions, ten blocks of 12 x 256 x 256 weights and 13 x 256 biases and norms.
    assert answer.parameters == 50_257 * 256 + 512 * 256 + LAYERS * (12 * 256**2 + 13 * 256) + 2 * 256
    assert answer.stored.difference == 0


def test_a_folder_comes_before_a_published_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert count_parameters("gpt3").origin == "preset"
    checkpoint(tmp_path / "gpt3")
    answer = count_parameters("gpt3")
    assert answer.origin == "checkpoint"
    assert answer.parameters < 200_000


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("GPT3_XL", "'gptcli params gpt3' counts them"),
        ("gtp2", "did you mean gpt2?"),
        ("lama-3.1-8b", "did you mean llama-3.1-8b"),
    ],
)
def test_unknown_names_list_the_sizes_and_what_comes_close(name: str, said: str) -> None:
    with pytest.raises(ModelNotFound, match=f"no model '{name}'") as caught:
        count_parameters(name)
    first, sizes = str(caught.value).splitlines()
    assert said in first
    assert sizes.startswith("  published sizes: gpt2, gpt2-medium, ")


def test_other_spellings_of_gpt3_are_understood() -> None:
    assert count_parameters("gpt-3") == count_parameters("gpt3")


def test_a_name_like_nothing_comes_close_to_nothing() -> None:
    with pytest.raises(ModelNotFound) as caught:
        count_parameters("zzzzzzzz")
    assert str(caught.value).endswith("gpt-oss-20b, gpt-oss-120b")


def test_a_name_meant_for_the_hub_is_not_offered_the_published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, **_: object) -> Any:
        raise ModelNotFound(f"{name} is not on the hub")

    monkeypatch.setattr("gptcli.counting.parameters.find", absent)
    with pytest.raises(ModelNotFound) as caught:
        count_parameters("owner/gpt3")
    assert str(caught.value) == "owner/gpt3 is not on the hub"


def test_broken_files_are_errors_and_not_counts(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="neither"):
        count_parameters(str(tmp_path / "empty"))
    folder = checkpoint(tmp_path / "x")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="cut short"):
        count_parameters(str(folder))
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(InputError, match="pickle"):
        count_parameters(str(tmp_path / "model.bin"))
