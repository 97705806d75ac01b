"""Small random checkpoints of every family, created and saved by transformers itself."""

import atexit
import copy
import json
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTJConfig,
    GPTNeoConfig,
    GPTNeoXConfig,
    OpenAIGPTConfig,
    OPTConfig,
)

from gptcli.checkpoint.families import Blueprint, read_blueprint
from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.source import find
from gptcli.checkpoint.weights.placement import Placement
from gptcli.checkpoint.weights.torch_loader import load_gpt
from gptcli.model.gpt import GPT
from tests.checkpoint.decoders import DECODERS, EAGER, LENGTH

N_POSITIONS = LENGTH

_GPT2 = {"vocab_size": 101, "n_positions": N_POSITIONS, "n_embd": 30, "n_layer": 3, "n_head": 5}
_NEO = {
    "vocab_size": 103,
    "max_position_embeddings": N_POSITIONS,
    "hidden_size": 42,
    "num_layers": 3,
    "num_heads": 7,
    "attention_types": [[["global", "local"], 1], [["local"], 1]],
    "window_size": 9,
}
_GPTJ = {"vocab_size": 97, "n_positions": N_POSITIONS, "n_embd": 30, "n_layer": 2, "n_head": 3, "rotary_dim": 6}
_NEOX = {
    "vocab_size": 99,
    "max_position_embeddings": N_POSITIONS,
    "hidden_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "intermediate_size": 52,
}
_OPT = {
    "vocab_size": 95,
    "max_position_embeddings": N_POSITIONS,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 51,
}
_GPT1 = {"vocab_size": 89, "n_positions": N_POSITIONS, "n_embd": 28, "n_layer": 3, "n_head": 4}


def _rope(**fields: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", **fields}}


# Name of a case -> transformers' configuration.
CONFIGS: dict[str, Any] = {
    "gpt2": GPT2Config(**_GPT2),
    "gpt2 untied": GPT2Config(**_GPT2, tie_word_embeddings=False),
    "gpt2 as Cerebras-GPT": GPT2Config(**_GPT2, n_inner=77, activation_function="gelu", layer_norm_epsilon=1e-3),
    "gpt2 without scaling": GPT2Config(**_GPT2, scale_attn_weights=False, activation_function="quick_gelu"),
    "gpt2 scaled by layer": GPT2Config(
        **_GPT2, scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True, activation_function="silu"
    ),
    "gpt2 of one head": GPT2Config(**{**_GPT2, "n_head": 1, "n_layer": 1, "n_inner": 30}, activation_function="relu"),
    "gpt_neo": GPTNeoConfig(**_NEO),
    "gpt_neo untied": GPTNeoConfig(
        **{**_NEO, "attention_types": [[["local"], 3]], "window_size": 1},
        intermediate_size=71,
        activation_function="gelu",
        layer_norm_epsilon=1e-4,
        tie_word_embeddings=False,
    ),
    "gptj": GPTJConfig(**_GPTJ),
    "gptj tied": GPTJConfig(
        **{**_GPTJ, "rotary_dim": 10},
        n_inner=43,
        activation_function="relu",
        layer_norm_epsilon=1e-3,
        tie_word_embeddings=True,
    ),
    "gpt_neox": GPTNeoXConfig(**_NEOX),
    "gpt_neox serial": GPTNeoXConfig(
        **_NEOX,
        **_rope(rope_theta=500.0, partial_rotary_factor=1.0),
        use_parallel_residual=False,
        hidden_act="gelu_new",
        layer_norm_eps=1e-3,
    ),
    "gpt_neox tied": GPTNeoXConfig(
        **_NEOX, **_rope(partial_rotary_factor=0.5), attention_bias=False, tie_word_embeddings=True
    ),
    "opt": OPTConfig(**_OPT),
    "opt as 350m": OPTConfig(**_OPT, do_layer_norm_before=False, word_embed_proj_dim=13),
    "opt untied": OPTConfig(**_OPT, word_embed_proj_dim=41, activation_function="gelu", tie_word_embeddings=False),
    "opt without biases": OPTConfig(**_OPT, enable_bias=False, activation_function="gelu_new"),
    "opt without norm weights": OPTConfig(**_OPT, layer_norm_elementwise_affine=False),
    "opt without final norm": OPTConfig(**_OPT, _remove_final_layer_norm=True),
    "openai-gpt": OpenAIGPTConfig(**_GPT1),
    "openai-gpt untied": OpenAIGPTConfig(**_GPT1, afn="silu", layer_norm_epsilon=1e-3, tie_word_embeddings=False),
    "openai-gpt relu": OpenAIGPTConfig(**_GPT1, afn="relu"),
}
FAMILIES: dict[str, Any] = {**CONFIGS, **DECODERS}


def each(cases: dict[str, Any]) -> list[Any]:
    """The names to try: one case of each family at once, its variants among the slow tests."""
    seen: set[str] = set()
    made = []
    for name, config in cases.items():
        marks = [pytest.mark.slow] if config.model_type in seen else []
        made.append(pytest.param(name, id=name, marks=marks))
        seen.add(config.model_type)
    return made


# Each branch of the model: kinds of positions, norms, residual streams, heads that share keys, gates, caps and scales.
_FEW = ("gpt2", "gpt_neo", "gpt_neox", "opt as 350m", "llama", "gemma2", "olmo2", "bloom")


def few(cases: Iterable[str]) -> list[Any]:
    """The names to try where the families differ in the model alone: one for each branch of it at once, the rest among
    the slow tests.
    """
    return [pytest.param(name, id=name, marks=[] if name in _FEW else [pytest.mark.slow]) for name in cases]


@cache
def saved(name: str) -> tuple[Any, Path]:
    """transformers' model of a case and the folder that it was saved in; made once, and to be read only."""
    theirs, folder = reference(FAMILIES[name]), _folder() / str(list(FAMILIES).index(name))
    theirs.save_pretrained(folder)
    return theirs, folder


@cache
def both(name: str) -> tuple[Any, GPT]:
    """transformers' model of a case and ours, of the same weights; made once, and to be read only."""
    theirs, folder = saved(name)
    return theirs, open_folder(folder)[1]


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="gptcli-zoo-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def reference(config: Any, seed: int = 2) -> Any:
    """transformers' model of a configuration, with weights that make every part of it matter."""
    torch.manual_seed(seed)
    how = {"attn_implementation": "eager"} if config.model_type in EAGER else {}
    model = AutoModelForCausalLM.from_config(copy.deepcopy(config), **how).eval()  # models change their configuration
    plus_one = config.model_type.startswith("gemma")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                weight.normal_(mean=0.0 if plus_one and name != "model.norm.weight" else 1.0, std=0.3)
            elif weight.dim() == 2:
                weight.normal_(std=_gain(name, config) * weight.shape[-1] ** -0.5)
            elif name.endswith("weight"):
                weight.normal_(mean=1.0, std=0.3)
            else:
                weight.normal_(std=0.3)
    return model


def _gain(name: str, config: Any) -> float:
    """How strong a matrix is: such that greedy texts wander, and do not repeat one token."""
    if "wpe" in name or "positions" in name:
        return 4.0
    if "emb" in name or "wte" in name:
        return 0.3 if config.model_type.startswith("gemma") else 1.2  # Gemma multiplies it
    post_norm = config.model_type == "openai-gpt" or not getattr(config, "do_layer_norm_before", True)
    return 0.7 if post_norm else 2.0


def eager(theirs: Any) -> Any:
    """A copy of transformers' model with the attention that gives its patterns."""
    if theirs.config.model_type == "falcon":
        pytest.skip("transformers' eager attention disagrees with its default one")
    copied = copy.deepcopy(theirs)
    copied.set_attn_implementation("eager")
    return copied


def open_folder(folder: Path, n_head: int | None = None) -> tuple[Blueprint, GPT]:
    """A checkpoint, the way a command opens it, in float32 on the CPU."""
    blueprint, header = understand(folder, n_head)
    return blueprint, load_gpt(blueprint, header, Placement("cpu", "float32"))


def understand(folder: Path, n_head: int | None = None) -> tuple[Blueprint, Header]:
    """A checkpoint's blueprint and header."""
    source = find(str(folder))
    assert source.weights is not None
    header = read_header(source.weights)
    return read_blueprint(source, header, n_head), header


def rewrite(
    folder: Path,
    *,
    fields: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda fields: fields,
    tensors: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda tensors: tensors,
) -> Path:
    """Change a saved checkpoint in place; no config.json is left where ``fields`` returns None."""
    path = folder / "config.json"
    changed = fields(json.loads(path.read_text()) if path.is_file() else {})
    path.unlink(missing_ok=True)
    if changed is not None:
        path.write_text(json.dumps(changed))
    weights = folder / "model.safetensors"
    contents = tensors(load_file(weights))
    save_file({name: tensor.clone().contiguous() for name, tensor in contents.items()}, weights)
    return folder
