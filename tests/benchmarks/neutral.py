"""A checkpoint's shape and weights, under the same names for every family that is measured.

From these a peer's own form is written. Runs in the peers' environment too, and imports nothing of gptcli: what it is
compared with should not come out of itself.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Shape:
    """What a decoder looks like, as far as these families differ.

    Attributes:
        family: config.json's model_type.
        layers, width, heads, inner, positions, vocab: sizes; ``inner`` is the MLP's.
        kv_heads: heads of keys and values; each serves ``heads / kv_heads`` query heads.
        eps: added to what a norm divides by.
        activation: ``gelu``, ``gelu_tanh`` or ``silu``.
        rms: norms are RMS norms, which have no bias.
        gated: the MLP has a gate.
        parallel: attention and MLP read the same input.
        rotary: how many numbers of each head are rotated, in halves; 0: none.
        base: of the angles.
        scaled: whether scores are divided by the root of the head's width.
        windows: how far each layer looks back; 0: to the start.
        tied: the unembedding is the embedding.
    """

    family: str
    layers: int
    width: int
    heads: int
    inner: int
    positions: int
    vocab: int
    kv_heads: int
    eps: float
    activation: str
    rms: bool = False
    gated: bool = False
    parallel: bool = False
    rotary: int = 0
    base: float = 10_000.0
    scaled: bool = True
    windows: tuple[int, ...] = ()
    tied: bool = True

    @property
    def head_width(self) -> int:
        """Numbers of one head."""
        return self.width // self.heads

    @property
    def per_token(self) -> int:
        """How many weights of matrices a new token is multiplied with."""
        attention = 2 * self.width * (self.heads + self.kv_heads) * self.head_width
        mlp = (3 if self.gated else 2) * self.width * self.inner
        return self.layers * (attention + mlp) + self.vocab * self.width


def shape_of(folder: Path) -> Shape:
    """A folder's shape, from its config.json.

    Raises:
        ValueError: a family that is not measured.
    """
    config = json.loads((folder / "config.json").read_text())
    family = config["model_type"]
    if family not in _SHAPES:
        raise ValueError(f"{family} is not among {', '.join(_SHAPES)}")
    return _SHAPES[family](config)


def read(folder: Path) -> tuple[Shape, Weights]:
    """The shape, and every tensor that it needs; matrices are [out, in].

    Names are ``embed``, ``positions``, ``unembed``, ``final_norm``, and in layer 3 ``3.attn_norm``, ``3.qkv`` (queries,
    keys, values, head after head), ``3.out``, ``3.mlp_norm``, ``3.gate``, ``3.up``, ``3.down``; each with ``.weight``
    and, where there is one, ``.bias``.
    """
    from safetensors.numpy import load_file

    shape = shape_of(folder)
    stored = load_file(folder / "model.safetensors")
    prefix = {"gpt2": "transformer.", "gpt_neo": "transformer.", "gpt_neox": "gpt_neox."}.get(shape.family, "model.")
    weights = {name.removeprefix(prefix): array for name, array in stored.items()}
    if shape.family == "gpt2":  # Conv1D keeps matrices the other way round
        weights = {name: array.T if name.startswith("h.") else array for name, array in weights.items()}
    outer, inner = _NAMES[shape.family]
    found: Weights = {}

    def take(name: str, *modules: str) -> None:
        for what in ("weight", "bias"):
            parts = [weights[f"{module}.{what}"] for module in modules if f"{module}.{what}" in weights]
            if parts:
                joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
                if shape.family == "gpt_neox" and name.endswith("qkv"):  # head after head: its query, key and value
                    by_head = joined.reshape(shape.heads, 3, shape.head_width, *joined.shape[1:])
                    joined = by_head.swapaxes(0, 1).reshape(joined.shape)
                found[f"{name}.{what}"] = np.ascontiguousarray(joined)

    for name, module in outer.items():
        take(name, module)
    for layer in range(shape.layers):
        for name, modules in inner.items():
            take(f"{layer}.{name}", *(module.format(layer) for module in modules))
    found.setdefault("unembed.weight", found["embed.weight"])
    return shape, found


def _gpt2(config: dict[str, Any]) -> Shape:
    width = config["n_embd"]
    return Shape(
        "gpt2", config["n_layer"], width, config["n_head"], 4 * width, config["n_positions"], config["vocab_size"],
        config["n_head"], config.get("layer_norm_epsilon", 1e-5), "gelu_tanh",
    )  # fmt: skip


def _gpt_neo(config: dict[str, Any]) -> Shape:
    width, heads = config["hidden_size"], config["num_heads"]
    kinds = [kind for listed, times in config["attention_types"] for kind in listed * times]
    return Shape(
        "gpt_neo", config["num_layers"], width, heads, config["intermediate_size"] or 4 * width,
        config["max_position_embeddings"], config["vocab_size"], heads, config["layer_norm_epsilon"], "gelu_tanh",
        scaled=False, windows=tuple(config["window_size"] if kind == "local" else 0 for kind in kinds),
    )  # fmt: skip


def _gpt_neox(config: dict[str, Any]) -> Shape:
    heads, head_width = config["num_attention_heads"], config["hidden_size"] // config["num_attention_heads"]
    rope = config.get("rope_parameters") or config
    return Shape(
        "gpt_neox", config["num_hidden_layers"], config["hidden_size"], heads, config["intermediate_size"],
        config["max_position_embeddings"], config["vocab_size"], heads, config["layer_norm_eps"], "gelu",
        parallel=True, rotary=int(head_width * (rope.get("partial_rotary_factor") or config["rotary_pct"])),
        base=rope.get("rope_theta") or config.get("rotary_emb_base", 10_000), tied=False,
    )  # fmt: skip


def _llama(config: dict[str, Any]) -> Shape:
    width, heads = config["hidden_size"], config["num_attention_heads"]
    return Shape(
        config["model_type"], config["num_hidden_layers"], width, heads, config["intermediate_size"],
        config["max_position_embeddings"], config["vocab_size"], config["num_key_value_heads"], config["rms_norm_eps"],
        "silu", rms=True, gated=True, rotary=width // heads,
        base=(config.get("rope_parameters") or config)["rope_theta"], tied=config["tie_word_embeddings"],
    )  # fmt: skip


_SHAPES = {"gpt2": _gpt2, "gpt_neo": _gpt_neo, "gpt_neox": _gpt_neox, "llama": _llama, "qwen2": _llama}
_LLAMA: tuple[dict[str, str], dict[str, tuple[str, ...]]] = (
    {"embed": "embed_tokens", "final_norm": "norm", "unembed": "lm_head"},
    {
        "attn_norm": ("layers.{}.input_layernorm",),
        "qkv": tuple(f"layers.{{}}.self_attn.{part}_proj" for part in "qkv"),
        "out": ("layers.{}.self_attn.o_proj",),
        "mlp_norm": ("layers.{}.post_attention_layernorm",),
        "gate": ("layers.{}.mlp.gate_proj",),
        "up": ("layers.{}.mlp.up_proj",),
        "down": ("layers.{}.mlp.down_proj",),
    },
)
_GPT2 = {
    "attn_norm": ("h.{}.ln_1",),
    "mlp_norm": ("h.{}.ln_2",),
    "up": ("h.{}.mlp.c_fc",),
    "down": ("h.{}.mlp.c_proj",),
}
_OUTER = {"embed": "wte", "positions": "wpe", "final_norm": "ln_f", "unembed": "lm_head"}
# For each family what is outside the layers, and what is in each; several modules are put one below the other.
_NAMES: dict[str, tuple[dict[str, str], dict[str, tuple[str, ...]]]] = {
    "gpt2": (_OUTER, {**_GPT2, "qkv": ("h.{}.attn.c_attn",), "out": ("h.{}.attn.c_proj",)}),
    "gpt_neo": (
        _OUTER,
        {
            **_GPT2,
            "qkv": tuple(f"h.{{}}.attn.attention.{part}_proj" for part in "qkv"),
            "out": ("h.{}.attn.attention.out_proj",),
        },
    ),
    "gpt_neox": (
        {"embed": "embed_in", "final_norm": "final_layer_norm", "unembed": "embed_out"},
        {
            "attn_norm": ("layers.{}.input_layernorm",),
            "qkv": ("layers.{}.attention.query_key_value",),
            "out": ("layers.{}.attention.dense",),
            "mlp_norm": ("layers.{}.post_attention_layernorm",),
            "up": ("layers.{}.mlp.dense_h_to_4h",),
            "down": ("layers.{}.mlp.dense_4h_to_h",),
        },
    ),
    "llama": _LLAMA,
    "qwen2": _LLAMA,
}
