"""The validation of ``GPTConfig``: each check yields a message for users."""

import math
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gptcli.model.config import GPTConfig

_AT_LEAST_1 = ("vocab_size", "n_positions", "n_embd", "n_head", "query_growth_every")
_OPTIONAL_COUNTS = ("n_inner", "n_kv_head", "head_width", "token_width")
_FACTORS = ("residual_scale", "embedding_scale", "logit_scale", "alibi_max")
_OPTIONAL_FACTORS = ("qkv_clip", "attention_scale", "attention_cap", "logit_cap")


def check(config: "GPTConfig") -> None:
    """Refuse impossible configurations.

    Raises:
        ValueError: says which field is impossible and why.
    """
    problem = next(chain(_numbers(config), _heads(config), _experts(config), _positions(config), _norms(config)), None)
    if problem is not None:
        raise ValueError(problem)


def _numbers(config: "GPTConfig") -> Iterable[str]:
    for name in (*_AT_LEAST_1, *_OPTIONAL_COUNTS):
        value = getattr(config, name)
        if value is not None and value < 1:
            yield f"{name} must be at least 1, not {value}"
    if config.n_layer < 0:
        yield f"n_layer must not be negative, not {config.n_layer}"
    for name in (*_FACTORS, *_OPTIONAL_FACTORS):
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            yield f"{name} must be a number above 0, not {value}"
    if not 0 <= config.query_growth < math.inf:
        yield f"query_growth must be a number from 0 up, not {config.query_growth}"
    if not 0 < config.layer_norm_epsilon < 1:
        yield f"layer_norm_epsilon must lie between 0 and 1, not {config.layer_norm_epsilon}"


def _heads(config: "GPTConfig") -> Iterable[str]:
    if config.n_head % config.kv_heads:
        yield f"n_head {config.n_head} does not divide into n_kv_head {config.kv_heads} groups"
    if config.head_width is None and config.n_embd % config.n_head:
        yield f"n_embd {config.n_embd} does not divide into n_head {config.n_head} heads"
    if config.windows and len(config.windows) != config.n_layer:
        yield f"windows has {len(config.windows)} entries for {config.n_layer} layers"
    if any(window is not None and window < 1 for window in config.windows):
        yield "windows must see at least 1 position, the own one"


def _experts(config: "GPTConfig") -> Iterable[str]:
    if config.experts is not None and len(config.experts.layers) not in (0, config.n_layer):
        yield f"experts.layers has {len(config.experts.layers)} entries for {config.n_layer} layers"


def _positions(config: "GPTConfig") -> Iterable[str]:
    if config.positions != "rotary":
        return
    if not (0 < config.rotary_dim <= config.head_size and config.rotary_dim % 2 == 0):
        yield f"rotary_dim {config.rotary_dim} must be even and at most the head size {config.head_size}"
        return
    if not config.rotary:
        yield "rotary positions need a table of angles"
    for rotary in config.rotary:
        rotary.check_width(config.rotary_dim)
    if config.rotary_layers and len(config.rotary_layers) != config.n_layer:
        yield f"rotary_layers has {len(config.rotary_layers)} entries for {config.n_layer} layers"
    if any(place is not None and not 0 <= place < len(config.rotary) for place in config.rotary_layers):
        yield f"rotary_layers must be indexes of the {len(config.rotary)} tables of rotary, or null"


def _norms(config: "GPTConfig") -> Iterable[str]:
    if config.shared_norm and not config.parallel_residual:
        yield "shared_norm needs parallel_residual"
    if config.parallel_residual and config.norm in ("after", "sandwich"):
        yield f"parallel_residual has no norms of the kind {config.norm!r}"
    if config.norm_bias and not config.norm_weight:
        yield "norm_bias needs norm_weight"
    if config.norm_bias and config.norm_kind == "rms":
        yield "norm_bias needs layer norms: an RMS norm has none"
    if config.qk_norm_bias and (config.qk_norm == "none" or config.norm_kind == "rms" or not config.norm_weight):
        yield "qk_norm_bias needs qk_norm, and layer norms with a weight: an RMS norm has none"
    if config.norm_kind != "rms" and (config.norm_plus_one or config.norm_rounds_first):
        yield "norm_plus_one and norm_rounds_first need RMS norms"
    if config.norm_plus_one and not config.norm_weight:
        yield "norm_plus_one needs norm_weight"
