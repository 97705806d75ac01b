"""Checkpoints as trainers leave them: wrappers around the model, and tensors next to it.

The reference for every case is transformers' model with the same weights.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GPT2Config, LlamaConfig, Qwen3Config

from gptcli.checkpoint.families import read_blueprint
from gptcli.checkpoint.source import find
from gptcli.errors import CheckpointError
from tests.checkpoint.zoo import FAMILIES, open_folder, reference, understand

Tensors = dict[str, Tensor]
GPT2 = GPT2Config(vocab_size=31, n_positions=12, n_embd=8, n_layer=2, n_head=2)
IDS = torch.arange(24).reshape(2, 12)


class Saved:
    """A small GPT-2 of transformers, its tensors under their plain names, and its logits."""

    def __init__(self, folder: Path, config: Any = GPT2) -> None:
        self.model = reference(config)
        self.model.save_pretrained(folder)
        self.tensors = load_file(folder / "model.safetensors")
        self.config = json.loads((folder / "config.json").read_text())
        with torch.inference_mode():
            self.logits = self.model(IDS).logits

    def write(self, folder: Path, tensors: Tensors, config: dict[str, Any] | None = None) -> Path:
        save_file({key: tensor.contiguous().clone() for key, tensor in tensors.items()}, folder / "model.safetensors")
        if config is not None:
            (folder / "config.json").write_text(json.dumps(config))
        return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return Saved(tmp_path_factory.mktemp("gpt2"))


def front(prefix: str) -> Callable[[str], str]:
    return lambda key: prefix + key


def inside(old: str, new: str) -> Callable[[str], str]:
    return lambda key: key.replace(old, new)


WRAPPED: dict[str, Callable[[str], str]] = {
    "compile(DDP)": front("_orig_mod.module."),
    "DDP(compile)": front("module._orig_mod."),
    "twice compiled": front("_orig_mod._orig_mod."),
    "DDP of DataParallel": front("module.module."),
    "layers compiled one by one": inside(".h.0.", ".h.0._orig_mod."),
    "the decoder alone": inside("transformer.", "transformer._orig_mod."),
    "Lightning": front("model."),
    "Lightning, compiled": front("model._orig_mod."),
    "FSDP": lambda key: "_fsdp_wrapped_module." + key.replace(".attn.", "._fsdp_wrapped_module.attn."),
    "activation checkpointing": inside(".h.1.", ".h.1._checkpoint_wrapped_module."),
    "TRL": front("pretrained_model."),
    "trlx": front("gpt."),
    "a name of one's own": front("policy.actor.language_model."),
    "one name here and another there": lambda key: ("model." if "attn" in key else "module.gpt.") + key,
    "all at once": lambda key: (
        "_forward_module.model._orig_mod.pretrained_model.module."
        + key.replace(".h.", "._fsdp_wrapped_module.h.").replace(".mlp.", "._checkpoint_wrapped_module.mlp.")
    ),
    "a training state": front("model_state_dict."),
    "in an nn.Sequential": front("model.0."),
    "as sentence-transformers has it": front("0.auto_model."),
    "PEFT's layers without their adapters": lambda key: key.replace(".attn.c_attn.", ".attn.c_attn.base_layer."),
    "Opacus": front("_module."),
    "the decoder of a class of one's own": inside("transformer.", "gpt.core."),
}


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("configured", [True, False])
def test_wrapped_keys_are_the_same_model(name: str, configured: bool, saved: Saved, tmp_path: Path) -> None:
    renamed = {WRAPPED[name](key): tensor for key, tensor in saved.tensors.items()}
    saved.write(tmp_path, renamed, saved.config if configured else None)
    blueprint, ours = open_folder(tmp_path, **({} if configured else {"n_head": 2}))
    assert not blueprint.unknown
    assert set(blueprint.buffers) | {key for part in blueprint.tensors.values() for key in part.keys} == set(renamed)
    assert (ours(IDS) - saved.logits).abs().max() < 1e-4


@pytest.mark.parametrize("family", [LlamaConfig, Qwen3Config])
def test_wrapped_decoder_with_a_head_of_its_own(family: Any, tmp_path: Path) -> None:
    """Llama's keys have a prefix of their own, ``model.``, for all but the unembedding."""
    small = {
        "vocab_size": 31, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "max_position_embeddings": 16, "tie_word_embeddings": False, "head_dim": 4,
    }  # fmt: skip
    saved = Saved(tmp_path, family(**small))
    saved.write(tmp_path, {f"model._orig_mod.{key}": tensor for key, tensor in saved.tensors.items()}, saved.config)
    _, ours = open_folder(tmp_path)
    assert (ours(IDS) - saved.logits).abs().max() < 1e-4


def test_tables_of_angles_follow_from_the_configuration(tmp_path: Path) -> None:
    small = {"vocab_size": 31, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1}
    saved = Saved(tmp_path, LlamaConfig(**small, num_attention_heads=2, max_position_embeddings=16))
    tables = {
        "model.layers.0.self_attn.rotary_emb.cos_cached": torch.ones(1, 1, 16, 4),
        "model.rotary_emb.original_inv_freq": torch.ones(2),
        "freqs_cis": torch.ones(16, 2),
    }
    blueprint, ours = open_folder(saved.write(tmp_path, saved.tensors | tables, saved.config))
    assert "(table of rotary angles)" in blueprint.notes[0]
    assert (ours(IDS) - saved.logits).abs().max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({config.model_type: name for name, config in FAMILIES.items()}.values()))
def test_wrapped_keys_of_every_family(name: str, tmp_path: Path) -> None:
    """The same tensors are found under other keys, also next to a value head."""
    reference(FAMILIES[name]).save_pretrained(tmp_path)
    plain = understand(tmp_path)[0]
    tensors = load_file(tmp_path / "model.safetensors")
    for rename in (
        lambda key: f"model._orig_mod.{key}",
        lambda key: f"pretrained_model.{key}",
        lambda key: f"policy.net.{key}",
        lambda key: (
            "module." + re.sub(r"\.(\d+)\.", r".\1._fsdp_wrapped_module._checkpoint_wrapped_module.", key, count=1)
        ),
    ):
        renamed = {rename(key): tensor.contiguous().clone() for key, tensor in tensors.items()}
        save_file(renamed | {"v_head.summary.weight": torch.ones(1, 5)}, tmp_path / "model.safetensors")
        blueprint = understand(tmp_path)[0]
        expected = {ours: (tuple(map(rename, part.keys)), part.how) for ours, part in plain.tensors.items()}
        assert {ours: (part.keys, part.how) for ours, part in blueprint.tensors.items()} == expected
        assert blueprint.config == plain.config
        assert sum("v_head" in note for note in blueprint.notes) == 1


NEXT_TO_IT: dict[str, tuple[Tensors, str]] = {
    "TRL's value head": (
        {"v_head.summary.weight": torch.ones(1, 8), "v_head.summary.bias": torch.ones(1)},
        "v_head.summary.bias, v_head.summary.weight (head next to the language model)",
    ),
    "a classifier": ({"score.weight": torch.ones(2, 8)}, "score.weight (head next to the language model)"),
    "GPT2DoubleHeads": ({"multiple_choice_head.summary.weight": torch.ones(1, 8)}, "multiple_choice_head"),
    "a reward model": ({"reward_head.0.weight": torch.ones(4, 8), "reward_head.2.bias": torch.ones(1)}, "reward_head"),
    "positions": ({"transformer.position_ids": torch.arange(12)}, "(buffer of whole numbers)"),
    "a mask": ({"causal_mask": torch.ones(4, 4, dtype=torch.bool)}, "(buffer of whole numbers)"),
    "an empty tensor": ({"transformer.unused": torch.zeros(0, 8)}, "transformer.unused (empty tensor)"),
    "SWA's counter": ({"n_averaged": torch.tensor(3)}, "n_averaged (counter)"),
    "EMA's counters": (
        {"decay": torch.tensor(0.999), "num_updates": torch.tensor([7])},
        "num_updates, decay (counter)",
    ),
    "a trainer's": (
        {"lr": torch.tensor(1e-4), "iter_num": torch.tensor(5), "best_val_loss": torch.tensor(1.2)},
        "iter_num, best_val_loss, lr (counter)",
    ),
    "a loss with weights": ({"criterion.weight": torch.ones(31)}, "criterion.weight (weights of the loss)"),
    "a mask of numbers": ({"transformer.h.0.attn.tril": torch.ones(12, 12).tril()}, "tril (causal mask)"),
    "a pooler": ({"pooler.dense.weight": torch.ones(8, 8)}, "pooler.dense.weight (head next to the language model)"),
    "a profiler's": ({"transformer.h.0.total_ops": torch.zeros(1, dtype=torch.float64)}, "total_ops (counter)"),
}


@pytest.mark.parametrize("name", NEXT_TO_IT)
def test_what_cannot_change_the_logits_is_left_out(name: str, saved: Saved, tmp_path: Path) -> None:
    more, said = NEXT_TO_IT[name]
    blueprint, ours = open_folder(saved.write(tmp_path, saved.tensors | more, saved.config))
    (note,) = blueprint.notes
    assert note.startswith("left out, as they cannot change the logits: ")
    assert said in note
    assert (ours(IDS) - saved.logits).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("key", "tensor"),
    [
        ("transformer.h.0.adapter.weight", torch.ones(8, 8)),
        ("transformer.h.0.attn.score.weight", torch.ones(2, 8)),  # inside of the model
        ("transformer.v_head.weight", torch.ones(1, 8)),
        ("head.weight", torch.ones(31, 8)),  # as many rows as tokens: an unembedding
        ("lm_head.bias", torch.ones(31)),
        ("transformer.h.0.attn.q_norm.weight", torch.ones(4)),
        ("transformer.h.0.mlp.c_fc.qweight", torch.ones(2, 8, dtype=torch.int32)),
        ("transformer.scale", torch.ones(1)),
        ("scale.weight", torch.ones(8)),
        ("transformer.h.0.attn.mask", torch.ones(12)),
        ("transformer.h.0.attn.rotary_emb.inv_freq", torch.ones(2)),  # GPT-2 has no rotary positions
        ("temperature", torch.tensor(1.5)),
    ],
)
def test_what_might_change_the_logits_is_surplus(key: str, tensor: Tensor, saved: Saved, tmp_path: Path) -> None:
    saved.write(tmp_path, saved.tensors | {key: tensor}, saved.config)
    with pytest.raises(CheckpointError, match=f"surplus {key}"):
        open_folder(tmp_path)


def test_two_models_in_one_file(saved: Saved, tmp_path: Path) -> None:
    both = {f"{part}.{key}": tensor for part in ("ema_model", "online_model") for key, tensor in saved.tensors.items()}
    saved.write(tmp_path, both, saved.config)
    with pytest.raises(CheckpointError, match=r"several models, under ema_model\., online_model\.: save one"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("key", "look"),
    [
        ("base_model.model.h.0.attn.c_attn.lora_A.weight", "LoRA"),
        ("model.layers.0.mlp.up_proj.qweight", "GPTQ"),
        ("state.0.exp_avg", "optimizer"),
        ("_fsdp_wrapped_module._flat_param", "FSDP"),
        ("blk.0.attn_q.weight", "GGUF"),
        ("layers.0.attention.wq.weight", "Meta"),
        ("net.core.h.0.attn.attention.q_proj.weight", "looks like gpt_neo"),
        ("stem.0.strange", "of no kind that gptcli knows"),
    ],
)
@pytest.mark.parametrize("configured", [True, False])
def test_error_shows_a_key_and_what_it_looks_like(
    key: str, look: str, configured: bool, saved: Saved, tmp_path: Path
) -> None:
    saved.write(tmp_path, {key: torch.ones(8, 8)}, saved.config if configured else None)
    with pytest.raises(CheckpointError) as caught:
        read_blueprint(source := find(str(tmp_path)), source.header)
    assert look in str(caught.value)
    # Where the family is plain and only config.json is missing, the error says that.
    assert f"'{key}'" in str(caught.value) or "put the model's config.json next to it" in str(caught.value)


def test_error_is_that_of_the_nearest_reading(saved: Saved, tmp_path: Path) -> None:
    """Of a wrapped model that lacks something, only that is missing."""
    renamed = {f"model.{key}": tensor for key, tensor in saved.tensors.items() if not key.endswith("ln_f.bias")}
    saved.write(tmp_path, renamed, saved.config)
    with pytest.raises(CheckpointError, match=r"gpt2 configuration: missing ln_f\.bias$"):
        open_folder(tmp_path)
    (tmp_path / "config.json").unlink()
    saved.write(tmp_path, {f"net.{key}": tensor for key, tensor in saved.tensors.items()})
    with pytest.raises(CheckpointError, match="say how many heads with --n-head"):
        open_folder(tmp_path)


def test_classifier_of_llms_from_scratch_has_no_logits(tmp_path: Path) -> None:
    tensors = {"tok_emb.weight": torch.ones(31, 8), "out_head.weight": torch.ones(2, 8), "out_head.bias": torch.ones(2)}
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(BOOK))
    with pytest.raises(CheckpointError, match="it is a classifier's"):
        open_folder(tmp_path)


BOOK = {"vocab_size": 31, "context_length": 12, "emb_dim": 8, "n_heads": 2, "n_layers": 2}


def book_names(key: str) -> str:
    """The names of LLMs-from-scratch for those of Llama."""
    for old, new in {
        "model.embed_tokens": "tok_emb", "model.layers": "trf_blocks", "model.norm.weight": "final_norm.scale",
        "lm_head": "out_head", "self_attn.o_proj": "att.out_proj", "self_attn.q_norm.weight": "att.q_norm.scale",
        "self_attn.k_norm.weight": "att.k_norm.scale", "self_attn.q_proj": "att.W_query",
        "self_attn.k_proj": "att.W_key", "self_attn.v_proj": "att.W_value", "mlp.gate_proj": "ff.fc1",
        "mlp.up_proj": "ff.fc2", "mlp.down_proj": "ff.fc3", "input_layernorm.weight": "norm1.scale",
        "post_attention_layernorm.weight": "norm2.scale",
    }.items():  # fmt: skip
        key = key.replace(old, new)
    return key


@pytest.mark.parametrize("bias", [True, False])
def test_fused_attention_of_llms_from_scratch(bias: bool, saved: Saved, tmp_path: Path) -> None:
    """``att.qkv`` is queries, keys and values one below the other; the book's matrices are [out, in]."""
    theirs, names = reference(GPT2Config(**{**GPT2.to_dict(), "tie_word_embeddings": False})), {}
    if not bias:
        for block in theirs.transformer.h:
            block.attn.c_attn.bias.data.zero_()
    for key, tensor in theirs.state_dict().items():
        new = key
        for old, name in {
            "transformer.": "", "wte": "tok_emb", "wpe": "pos_emb", "h.": "trf_blocks.", "attn.c_attn": "att.qkv",
            "attn.c_proj": "att.proj", "mlp.c_fc": "ff.layers.0", "mlp.c_proj": "ff.layers.2", "ln_1": "norm1",
            "ln_2": "norm2", "ln_f": "final_norm", "lm_head": "out_head",
        }.items():  # fmt: skip
            new = new.replace(old, name, 1)
        if not ("qkv.bias" in new and not bias):
            names[new] = tensor.T if ".c_" in key and tensor.dim() == 2 else tensor
    saved.write(tmp_path, names, BOOK | {"drop_rate": 0.1, "qkv_bias": bias})
    blueprint, ours = open_folder(tmp_path)
    assert blueprint.family == "llms_from_scratch"
    with torch.inference_mode():
        assert (ours(IDS) - theirs(IDS).logits).abs().max() < 1e-4


_ROPE = {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        (LlamaConfig(rms_norm_eps=1e-5, num_key_value_heads=2), {}),
        (
            LlamaConfig(
                rms_norm_eps=1e-5,
                rope_parameters={
                    "rope_type": "llama3", "rope_theta": 5e5, "original_max_position_embeddings": 6, **_ROPE,
                },
            ),
            {"n_kv_groups": 1, "rope_base": 5e5, "rope_freq": _ROPE | {"original_context_length": 6}},
        ),
        (
            Qwen3Config(rms_norm_eps=1e-6, head_dim=6, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
            {"n_kv_groups": 1, "rope_base": 1e6, "head_dim": 6, "qk_norm": True},
        ),
    ],
    ids=["Llama 2", "Llama 3", "Qwen 3"],
)  # fmt: skip
def test_later_models_of_llms_from_scratch(config: Any, fields: dict[str, Any], tmp_path: Path) -> None:
    sizes = {
        "vocab_size": 31, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": fields.get("n_kv_groups", 2), "max_position_embeddings": 12,
        "tie_word_embeddings": False, "head_dim": fields.get("head_dim", 4), "layer_types": None,
    }  # fmt: skip
    saved = Saved(tmp_path, type(config)(**{**config.to_dict(), **sizes}))
    names = {book_names(key): tensor for key, tensor in saved.tensors.items()}
    saved.write(tmp_path, names, BOOK | {"hidden_dim": 12} | fields)
    blueprint, ours = open_folder(tmp_path)
    assert blueprint.family == "llms_from_scratch"
    assert (ours(IDS) - saved.logits).abs().max() < 1e-4


def test_other_models_of_llms_from_scratch_are_refused(saved: Saved, tmp_path: Path) -> None:
    saved.write(tmp_path, saved.tensors, BOOK | {"sliding_window_size": 4, "sliding_window_stride": 2})
    with pytest.raises(CheckpointError, match="sliding_window_size belongs to one of LLMs-from-scratch's models"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("model_type", "fields", "said"),
    [
        ("llama", {"num_attention_heads": 3}, "hidden_size 8 does not divide into num_attention_heads 3 heads"),
        ("llama", {"num_key_value_heads": 3, "num_attention_heads": 4},
         "num_attention_heads 4 does not divide into num_key_value_heads 3 groups"),
        ("gpt2", {"n_head": 3}, "n_embd 8 does not divide into n_head 3 heads"),
        ("gpt2", {"num_attention_heads": "2"}, "num_attention_heads is '2'"),
        ("gpt_neo", {"num_heads": 3, "num_layers": 1, "attention_types": [[["global"], 1]]},
         "hidden_size 8 does not divide into num_heads 3 heads"),
    ],
)  # fmt: skip
def test_fields_are_told_by_the_name_in_the_file(
    model_type: str, fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    width = {"n_embd": 8} if model_type == "gpt2" else {"hidden_size": 8}
    sizes = {"vocab_size": 31, "intermediate_size": 12, "num_hidden_layers": 1, "max_position_embeddings": 8}
    config = {"model_type": model_type} | (sizes if model_type == "llama" else {}) | width | fields
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        read_blueprint(find(str(tmp_path)), None)
    assert said in str(caught.value)
