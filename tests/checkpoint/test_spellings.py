"""The same weights under the names, fields and files in which they are found: the logits stay those of transformers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from gptcli.checkpoint.families import read_blueprint
from gptcli.checkpoint.source import find
from gptcli.errors import CheckpointError
from tests.checkpoint.zoo import CONFIGS, open_folder, reference, rewrite

Fields = dict[str, Any]
Tensors = dict[str, Tensor]


def renamed(old: str, new: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name.replace(old, new, 1): tensor for name, tensor in tensors.items()}


def prefixed(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()}


def with_masks(module: str, layers: int) -> Callable[[Tensors], Tensors]:
    """The buffers that transformers saved until it stopped doing so."""
    masks = {
        f"{module.replace('N', str(layer))}.{name}": tensor
        for layer in range(layers)
        for name, tensor in {"bias": torch.ones(1, 1, 4, 4).tril().bool(), "masked_bias": torch.tensor(-1e9)}.items()
    }
    return lambda tensors: {**tensors, **masks}


def copied_head(embedding: str, head: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, head: tensors[embedding]}


def moved_head(embedding: str) -> Callable[[Tensors], Tensors]:
    """Of two names for one tensor, safetensors' save_model keeps the first of the alphabet."""
    return renamed(embedding, "lm_head.weight")


def with_inverse_frequencies(tensors: Tensors) -> Tensors:
    frequencies = {f"gpt_neox.layers.{layer}.attention.rotary_emb.inv_freq": torch.ones(3) for layer in range(3)}
    return {**with_masks("gpt_neox.layers.N.attention", 3)(tensors), **frequencies}


TENSORS: dict[str, tuple[str, Callable[[Tensors], Tensors]]] = {
    "gpt2 without prefix": ("gpt2", renamed("transformer.", "")),
    "gpt2 compiled": ("gpt2", prefixed("_orig_mod.")),
    "gpt2 compiled and distributed": ("gpt2", prefixed("module._orig_mod.")),
    "gpt2 with masks": ("gpt2", with_masks("transformer.h.N.attn", 3)),
    "gpt2 with its head": ("gpt2", copied_head("transformer.wte.weight", "lm_head.weight")),
    "gpt2 with its head only": ("gpt2", moved_head("transformer.wte.weight")),
    "gpt_neo without prefix": ("gpt_neo", renamed("transformer.", "")),
    "gpt_neo with masks": ("gpt_neo", with_masks("transformer.h.N.attn.attention", 3)),
    "gptj with masks": ("gptj", with_masks("transformer.h.N.attn", 2)),
    "gpt_neox embed_out": ("gpt_neox", renamed("lm_head.weight", "embed_out.weight")),
    "gpt_neox lm_head": ("gpt_neox", renamed("embed_out.weight", "lm_head.weight")),
    "gpt_neox without prefix": ("gpt_neox", renamed("gpt_neox.", "")),
    "gpt_neox with buffers": ("gpt_neox", with_inverse_frequencies),
    "opt without prefix": ("opt", renamed("model.decoder.", "decoder.")),
    "opt with its head": ("opt", copied_head("model.decoder.embed_tokens.weight", "lm_head.weight")),
    "openai-gpt without prefix": ("openai-gpt", renamed("transformer.", "")),
    "openai-gpt with masks": ("openai-gpt", with_masks("transformer.h.N.attn", 3)),
}


def without(*names: str, **more: Any) -> Callable[[Fields], Fields]:
    return lambda fields: {**{name: value for name, value in fields.items() if name not in names}, **more}


def attribute_names(fields: Fields) -> Fields:
    other = {
        "n_positions": "max_position_embeddings",
        "n_embd": "hidden_size",
        "n_layer": "num_hidden_layers",
        "n_head": "num_attention_heads",
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
    }
    return {other.get(name, name): value for name, value in fields.items()}


FIELDS: dict[str, tuple[str, Callable[[Fields], Fields]]] = {
    **{
        f"{family} by attribute names": (family, attribute_names)
        for family in ("gpt2", "gpt_neo", "gptj", "openai-gpt")
    },
    "gpt2 without model_type": ("gpt2", without("model_type")),
    "gpt_neo without attention_layers": ("gpt_neo", without("attention_layers")),
    "gpt_neo without attention_types": ("gpt_neo", without("attention_types")),
    "gpt_neox as 4.x wrote it": (
        "gpt_neox serial",
        without("rope_parameters", rotary_emb_base=500, rotary_pct=1.0, rope_scaling=None),
    ),
    "gpt_neox with both": (
        "gpt_neox serial",
        without("rope_parameters", rope_theta=500, partial_rotary_factor=1.0, rope_scaling={"type": "default"}),
    ),
    "gpt_neox with defaults": ("gpt_neox", without("rope_parameters", "attention_bias", "use_parallel_residual")),
    "opt with defaults": ("opt", without("do_layer_norm_before", "word_embed_proj_dim", "enable_bias")),
    "opt before 4.20": ("opt without final norm", without("layer_norm_elementwise_affine")),
}


def same_logits(theirs: Any, folder: Path) -> bool:
    _, ours = open_folder(folder)
    ids = torch.randint(ours.config.vocab_size, (2, 50), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return bool((ours(ids) - theirs(ids).logits).abs().max() < 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("case", TENSORS)
def test_tensor_names(case: str, tmp_path: Path) -> None:
    name, change = TENSORS[case]
    theirs = reference(CONFIGS[name])
    theirs.save_pretrained(tmp_path)
    rewrite(tmp_path, tensors=change)
    assert same_logits(theirs, tmp_path)


@pytest.mark.parametrize("case", FIELDS)
def test_config_fields(case: str, tmp_path: Path) -> None:
    name, change = FIELDS[case]
    theirs = reference(CONFIGS[name])
    theirs.save_pretrained(tmp_path)
    rewrite(tmp_path, fields=change)
    assert same_logits(theirs, tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "opt as 350m"])
def test_half_precision_files(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    reference(CONFIGS[name]).to(dtype).save_pretrained(tmp_path)
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {dtype}
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert same_logits(theirs, tmp_path)


@pytest.mark.parametrize("name", ["gpt2 untied", "gpt_neo", "gptj", "gpt_neox", "opt", "openai-gpt"])
def test_shards(name: str, tmp_path: Path) -> None:
    theirs = reference(CONFIGS[name])
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    assert same_logits(theirs, tmp_path)


def test_tied_by_its_config_but_not_in_the_file(tmp_path: Path) -> None:
    reference(CONFIGS["gpt2 untied"]).save_pretrained(tmp_path)
    rewrite(tmp_path, fields=without(tie_word_embeddings=True))
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert not torch.equal(theirs.lm_head.weight, theirs.transformer.wte.weight)
    blueprint, _ = open_folder(tmp_path)
    assert not blueprint.config.tied
    assert blueprint.notes == ("lm_head.weight differs from the token embedding, so the two are not tied",)
    assert same_logits(theirs, tmp_path)


def test_tied_with_its_head_is_tied_and_the_copy_not_loaded(tmp_path: Path) -> None:
    reference(CONFIGS["gpt2"]).save_pretrained(tmp_path)
    rewrite(tmp_path, tensors=copied_head("transformer.wte.weight", "lm_head.weight"))
    blueprint, ours = open_folder(tmp_path)
    assert blueprint.buffers == ("lm_head.weight",)
    assert ours.lm_head.weight is ours.wte.weight


@pytest.mark.parametrize("share", [1e308, 1.5])
def test_a_share_that_is_none_is_told(share: float, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt_neox", "rotary_pct": share}))
    with pytest.raises(CheckpointError, match="a share is from 0 to 1"):
        read_blueprint(find(str(tmp_path)), None)
