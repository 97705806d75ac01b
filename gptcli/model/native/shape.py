"""Conversion of a configuration for the C library: its shape, and its position tables."""

import ctypes

import numpy as np
from numpy.typing import NDArray

from gptcli.model.config import GPTConfig
from gptcli.model.native.library import Shape
from gptcli.model.positions import alibi_slopes, query_growth, rotary_table

# All in the order of the enums in native.h.
ACTIVATIONS = ("gelu_new", "gelu", "quick_gelu", "relu", "relu2", "silu", "mish", "tanh", "sigmoid")
NORM_KINDS = ("layer", "rms")
NORMS = ("pre", "post", "after", "sandwich")
QK_NORMS = ("none", "head", "each head", "whole")


def shape_of(config: GPTConfig) -> Shape:
    """The C structure of a configuration; options that are None become 0."""
    layers = range(config.n_layer)
    slopes = alibi_slopes(config).tolist() if config.positions == "alibi" else []
    tables = [config.rotary_table(layer) for layer in layers]
    return Shape(
        n_layer=config.n_layer,
        n_embd=config.n_embd,
        n_head=config.n_head,
        kv_heads=config.kv_heads,
        head_size=config.head_size,
        mlp_width=config.mlp_width,
        vocab_size=config.vocab_size,
        embedding_width=config.embedding_width,
        activation=ACTIVATIONS.index(config.activation),
        norm_kind=NORM_KINDS.index(config.norm_kind),
        norm=NORMS.index("pre" if config.norm == "post" and not config.post_norm else config.norm),
        qk_norm=QK_NORMS.index(config.qk_norm),
        final_norm=config.final_norm,
        embedding_norm=config.embedding_norm,
        parallel_residual=config.parallel_residual,
        shared_norm=config.shared_norm,
        gated=config.gated,
        rotary_dim=config.rotary_dim,
        rotary_interleaved=config.rotary_interleaved,
        layer_norm_epsilon=config.layer_norm_epsilon,
        residual_scale=config.residual_scale,
        embedding_scale=config.embedding_scale,
        logit_scale=config.logit_scale,
        qkv_clip=config.qkv_clip or 0.0,
        attention_cap=config.attention_cap or 0.0,
        logit_cap=config.logit_cap or 0.0,
        attention_scales=(ctypes.c_float * config.n_layer)(*map(config.scale, layers)),
        windows=(ctypes.c_int * config.n_layer)(*(config.window(layer) or 0 for layer in layers)),
        rotary_tables=(ctypes.c_int * config.n_layer)(*(-1 if table is None else table for table in tables)),
        alibi_slopes=(ctypes.c_float * len(slopes))(*slopes) if slopes else None,
    )


class Tables:
    """The position tables for the library: rotary tables, and the position-dependent factor of queries.

    Each table has as many rows as were needed so far, for the epoch that was used last (see ``Rotary.epoch``).
    """

    def __init__(self, config: GPTConfig) -> None:
        self._config = config
        used = {config.rotary_table(layer) for layer in range(config.n_layer)} - {None}
        self._places = [place if place in used else None for place in range(len(config.rotary))]
        self._tables: dict[int, tuple[int, NDArray[np.float32]]] = {}
        self._growth = np.empty(0, np.float32)
        self._at = (ctypes.c_void_p * len(config.rotary))()
        # Whether the angles do not depend on the length of the text.
        self.fixed = all(table.kind not in ("dynamic", "longrope") for table in config.rotary)

    def reach(self, length: int) -> tuple[int, int]:
        """Extend the tables to a sequence of that length: addresses of the list of tables, and of the factors or 0.

        Both are valid until the next call.
        """
        config = self._config
        for place in self._places:
            if place is None:
                continue
            epoch = config.rotary[place].epoch(length)
            known, table = self._tables.get(place, (epoch, np.empty((0, 0, 0), np.float32)))
            if known != epoch or len(table) < length:
                rows = max(length, min(2 * len(table), config.n_positions))  # by doubling, up to the context
                made = rotary_table(config, rows, place=place, sequence=length)  # [rows, R / 2, 2]
                table = np.ascontiguousarray(made.transpose(0, 2, 1))  # [rows, cosines and sines, R / 2]
                self._tables[place] = epoch, table
                self._at[place] = table.ctypes.data
        if config.query_growth and len(self._growth) < length:
            self._growth = query_growth(config, max(length, min(2 * length, config.n_positions)))
        return ctypes.addressof(self._at), self._growth.ctypes.data if config.query_growth else 0


def sine_positions(config: GPTConfig) -> NDArray[np.float32]:
    """The position vectors of ``positions.sinusoids`` for the whole context: [n_positions, C]."""
    place = np.arange(0, config.n_embd, 2, dtype=np.float32)
    rates = np.power(10000.0, (-place / np.float32(config.n_embd)).astype(np.float64)).astype(np.float32)
    angles = (np.arange(config.n_positions, dtype=np.float32)[:, None] * rates).astype(np.float64)
    both = np.stack((np.sin(angles), np.cos(angles)), axis=-1).astype(np.float32)  # [positions, pairs, 2]
    return np.ascontiguousarray(both.reshape(config.n_positions, -1)[:, : config.n_embd])
