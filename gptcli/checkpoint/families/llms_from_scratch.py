"""Exports of the models from Sebastian Raschka's "Build a Large Language Model (From Scratch)" (2024).

GPT-2 with other tensor names: separate queries, keys and values (or fused ones, in the book's faster training scripts),
norms with ``scale`` and ``shift``, and an untied unembedding. Its Llama 2, Llama 3 and Qwen 3 have the same names and a
gated MLP, ``ff.fc1`` to ``ff.fc3``. A config.json, if there is one, holds the book's dictionary (``emb_dim``,
``context_length``, ...).
"""

from dataclasses import replace

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.decoder import LLAMA
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.infer import infer_config, with_biases
from gptcli.checkpoint.families.keys import Naming, assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig
from gptcli.model.rotary import Rotary

NAMING = Naming(
    modules={
        "tok_emb": "wte",
        "pos_emb": "wpe",
        "trf_blocks.N.norm1": "h.N.ln_1",
        "trf_blocks.N.att.out_proj": "h.N.attn.c_proj",
        "trf_blocks.N.att.qkv": "h.N.attn.c_attn",
        "trf_blocks.N.att.proj": "h.N.attn.c_proj",
        "trf_blocks.N.att.q_norm": "h.N.attn.q_norm",
        "trf_blocks.N.att.k_norm": "h.N.attn.k_norm",
        "trf_blocks.N.norm2": "h.N.ln_2",
        "trf_blocks.N.ff.layers.0": "h.N.mlp.c_fc",
        "trf_blocks.N.ff.layers.2": "h.N.mlp.c_proj",
        "trf_blocks.N.ff.fc1": "h.N.mlp.c_gate",
        "trf_blocks.N.ff.fc2": "h.N.mlp.c_fc",
        "trf_blocks.N.ff.fc3": "h.N.mlp.c_proj",
        "final_norm": "ln_f",
        "out_head": "lm_head",
    },
    stacks={"h.N.attn.c_attn": tuple(f"trf_blocks.N.att.W_{name}" for name in ("query", "key", "value"))},
    buffers=r"trf_blocks\.[0-9]+\.att\.(mask|cos|sin)|cos|sin",
    leaves={"weight": "weight", "bias": "bias", "scale": "weight", "shift": "bias"},
)
# Fields of the book's other models: their layers are of another kind.
_OTHER_MODELS = (
    "sliding_window", "sliding_window_size", "layer_types", "num_experts", "latent_dim", "query_pre_attn_scalar",
    "rope_local_base", "logit_scale",
)  # fmt: skip


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json with the book's fields, and locate the tensors if a header is given."""
    other = next((name for name in _OTHER_MODELS if fields.values.get(name) is not None), None)
    if other is not None:
        raise CheckpointError(
            f"{fields.place}: {other} belongs to one of LLMs-from-scratch's models that are not read, only its GPT, "
            "Llama and Qwen 3 are"
        )
    located = None if header is None else locate(header, NAMING)
    if header is not None and NAMING.has(header, "out_head.bias"):
        raise CheckpointError(
            f"{fields.place}: out_head has a bias, so it is a classifier's (chapter 6): the model that predicts tokens "
            "had another, which is not in the file"
        )
    config = _llama(fields, header) if fields.values.get("hidden_dim") is not None else _gpt(fields, header)
    if located is not None and not config.gated:
        biases = with_biases(config, located)
        config = replace(config, attention_bias=biases.attention_bias)  # its GPT with fewer key heads has none
    return assemble("llms_from_scratch", config, header, located, eos_ids=fields.ids("eos_token_id", "eos_id"))


def _gpt(fields: Fields, header: Header | None) -> GPTConfig:
    return GPTConfig(
        vocab_size=fields.integer("vocab_size", default=50257),
        n_positions=fields.integer("context_length", default=1024),
        n_embd=fields.integer("emb_dim"),
        n_layer=fields.layers("n_layers"),
        n_head=fields.integer("n_heads"),
        n_kv_head=fields.optional_integer("n_kv_groups"),
        qkv_bias=fields.boolean("qkv_bias", default=False),
        tied=_tied(header),
    )


def _llama(fields: Fields, header: Header | None) -> GPTConfig:
    """Its Llama 2 and 3, and its Qwen 3, which has norms on queries and keys and heads of a width of their own."""
    n_embd, n_head, width = fields.integer("emb_dim"), fields.integer("n_heads"), fields.optional_integer("head_dim")
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size"),
        n_positions=fields.integer("context_length"),
        n_embd=n_embd,
        n_layer=fields.layers("n_layers"),
        n_head=n_head,
        n_kv_head=fields.integer("n_kv_groups", default=n_head),
        head_width=None if width is not None and width * n_head == n_embd else width,
        n_inner=fields.integer("hidden_dim"),
        activation="silu",
        layer_norm_epsilon=1e-5 if width is None else 1e-6,
        qk_norm="head" if fields.boolean("qk_norm", default=False) else "none",
        qkv_bias=False,
        attention_bias=False,
        mlp_bias=False,
        tied=_tied(header),
        **LLAMA,
    )
    return replace(config, positions="rotary", rotary_dim=config.head_size, rotary=(_rotary(fields),))


def _rotary(fields: Fields) -> Rotary:
    base, stretched = fields.number("rope_base", default=10_000.0), fields.section("rope_freq")
    if not stretched.values:
        return Rotary(base=base)
    return Rotary(
        base=base,
        kind="llama3",
        factor=stretched.number("factor"),
        original=stretched.integer("original_context_length"),
        low_frequency=stretched.number("low_freq_factor"),
        high_frequency=stretched.number("high_freq_factor"),
    )


def _tied(header: Header | None) -> bool:
    return header is not None and not NAMING.has(header, "out_head.weight")


def from_shapes(header: Header, n_head: int | None, place: str) -> Blueprint:
    """Infer the configuration of a lone file from the shapes of its tensors."""
    located = locate(header, NAMING)
    config, note = infer_config(located, header, n_head, place, "gelu_new")
    return assemble("llms_from_scratch", config, header, located, notes=(note,))


def _recognise(header: Header) -> bool:
    return any(NAMING.has(header, f"trf_blocks.0.att.{name}.weight") for name in ("W_query", "qkv"))


FAMILY = Family("llms_from_scratch", (), _recognise, from_config, from_shapes, config_field="emb_dim")
