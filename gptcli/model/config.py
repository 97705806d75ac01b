"""The configuration of a GPT: every number and option that a checkpoint family may set, and the shapes of a layer.

Code that builds, shards, counts or shows a layer takes its shapes from ``GPTConfig`` (``qkv_widths``, ``mlp_shapes``)
and never computes them itself.
"""

from dataclasses import dataclass
from typing import Literal

from gptcli.model.experts import Experts
from gptcli.model.possible import check
from gptcli.model.rotary import Rotary

Activation = Literal["gelu_new", "gelu", "quick_gelu", "relu", "relu2", "silu", "mish", "tanh", "sigmoid"]


@dataclass(frozen=True)
class GPTConfig:
    """Everything that is needed to build a GPT. Names are GPT-2's where it has one.

    The defaults are GPT-2 small (Radford et al. 2019). The options below ``layer_norm_epsilon`` are those in which the
    other families differ from it.

    Attributes:
        vocab_size: rows of the token embedding.
        n_positions: the context length in tokens.
        n_embd: width of the residual stream.
        n_layer: number of layers.
        n_head: query heads of a layer.
        n_inner: width of the MLP's hidden layer; None means ``4 * n_embd``.
        activation: the MLP's non-linearity (``gelu_new`` is the tanh approximation).
        layer_norm_epsilon: added to the variance in every layer norm, to the mean square in an RMS norm.
        n_kv_head: key and value heads, each shared by a group of ``n_head / n_kv_head`` query heads (Ainslie et al.
            2023). None means ``n_head``.
        head_width: width of one head; None means ``n_embd / n_head``.
        norm_kind: layer norms (Ba et al. 2016) or RMS norms (Zhang & Sennrich 2019), which have no bias.
        norm_plus_one: RMS norms scale by one plus their weight (Gemma), not by the weight itself.
        norm_rounds_first: in 16 bits an RMS norm rounds the normalized numbers before it scales them (Llama), not
            only its output (OLMo 2). Norms compute in float32 either way.
        gated: the MLP's hidden layer is the activation of one matrix times another (Shazeer 2020), not of one alone.
        experts: a mixture of experts that replaces the MLP in some or all layers; no engine runs it yet.
        positions: the position encoding: a learned table, fixed sines (Vaswani et al. 2017), rotary angles on queries
            and keys (Su et al. 2021), or ALiBi, a slope on the scores (Press et al. 2022).
        position_offset: first row used of a learned table (OPT skips 2).
        rotary_dim: how many numbers of each head are rotated, counted from its first.
        rotary_interleaved: rotate neighbouring pairs (GPT-J) instead of halves (GPT-NeoX).
        rotary: the tables of angles that the layers use.
        rotary_layers: for each layer the index of its table in ``rotary``, None where it has no rotation; empty: all
            layers use the first.
        query_growth: b, where queries at position p are multiplied by 1 + b ln(1 + floor(p / ``query_growth_every``))
            after the rotation (Ministral 3); 0 for none.
        query_growth_every: number of positions between two increases of that factor.
        alibi_slopes: the rule for numbers of heads that are no power of two: BLOOM's or MPT's.
        alibi_max: m of the slopes 2^(-m (h + 1) / H).
        alibi_scaled: slopes are multiplied by the attention scale as scores are (Falcon).
        norm: where the norms of the sub-layers are: ``pre``, x + f(norm(x)) (GPT-2); ``post``, norm(x + f(x))
            (GPT-1); ``after``, x + norm(f(x)) (OLMo 2); ``sandwich``, x + norm(f(norm(x))) (Gemma 2).
        final_norm: whether there is a norm before the unembedding.
        embedding_norm: whether there is a norm directly after the embedding (BLOOM).
        parallel_residual: attention and MLP both read the layer's input, and their outputs are added together.
        shared_norm: one norm serves both sub-layers (GPT-J); needs ``parallel_residual``.
        qk_norm: norms of ``norm_kind`` on queries and keys, before the rotation: over each head with one weight for
            all (``head``), with a weight for each (``each head``), or over all heads together (``whole``).
        qk_norm_bias: whether these have biases.
        qkv_clip: queries, keys and values are clamped to plus and minus this (OLMo, MPT).
        scale_attention: multiply the scores by ``attention_scale``.
        attention_scale: None means one over the square root of the head size.
        scale_by_layer: divide the scores of layer ``i`` by ``i + 1`` as well.
        sinks: each head has an additional learned score that takes part in the softmax and has no value (gpt-oss); no
            engine runs it yet.
        attention_cap: c, where scores s become c tanh(s / c) before the mask (Gemma 2).
        windows: for each layer the size of its sliding attention window in positions, the query's own one included;
            None for no window; empty: no layer has one.
        qkv_bias, attention_bias, mlp_bias, norm_bias: whether these layers have biases (``attention_bias`` is that
            of the output projection).
        norm_weight: whether norms have a scale of their own; without one they have no bias either.
        residual_scale: the outputs of attention and MLP are multiplied by it before they are added (Granite).
        embedding_scale: the token embedding is multiplied by it (Gemma, Granite).
        embedding_scale_rounded: whether ``embedding_scale`` is first rounded to the weights' type (Gemma: in bfloat16
            25.25 for 25.298).
        tied: the unembedding is the token embedding.
        unembedding_bias: whether the unembedding has a bias (GPT-J).
        logit_scale: logits are multiplied by it (Cohere, Granite).
        logit_cap: c, where logits z become c tanh(z / c) (Gemma 2).
        token_width: width of the token embedding where it differs from ``n_embd`` and is projected (OPT-350m).
    """

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation: Activation = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    n_kv_head: int | None = None
    head_width: int | None = None
    norm_kind: Literal["layer", "rms"] = "layer"
    norm_plus_one: bool = False
    norm_rounds_first: bool = False
    gated: bool = False
    experts: Experts | None = None
    positions: Literal["learned", "sinusoidal", "rotary", "alibi"] = "learned"
    position_offset: int = 0
    rotary_dim: int = 0
    rotary_interleaved: bool = False
    rotary: tuple[Rotary, ...] = (Rotary(),)
    rotary_layers: tuple[int | None, ...] = ()
    query_growth: float = 0.0
    query_growth_every: int = 1
    alibi_slopes: Literal["bloom", "mpt"] = "bloom"
    alibi_max: float = 8.0
    alibi_scaled: bool = False
    norm: Literal["pre", "post", "after", "sandwich"] = "pre"
    final_norm: bool = True
    embedding_norm: bool = False
    parallel_residual: bool = False
    shared_norm: bool = False
    qk_norm: Literal["none", "head", "each head", "whole"] = "none"
    qk_norm_bias: bool = False
    qkv_clip: float | None = None
    scale_attention: bool = True
    attention_scale: float | None = None
    scale_by_layer: bool = False
    sinks: bool = False
    attention_cap: float | None = None
    windows: tuple[int | None, ...] = ()
    qkv_bias: bool = True
    attention_bias: bool = True
    mlp_bias: bool = True
    norm_bias: bool = True
    norm_weight: bool = True
    residual_scale: float = 1.0
    embedding_scale: float = 1.0
    embedding_scale_rounded: bool = False
    tied: bool = True
    unembedding_bias: bool = False
    logit_scale: float = 1.0
    logit_cap: float | None = None
    token_width: int | None = None

    def __post_init__(self) -> None:
        """Refuse impossible configurations.

        Raises:
            ValueError: says which field is impossible and why.
        """
        check(self)

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head if self.head_width is None else self.head_width

    @property
    def kv_heads(self) -> int:
        """Number of key and value heads; each serves ``n_head / kv_heads`` consecutive query heads."""
        return self.n_head if self.n_kv_head is None else self.n_kv_head

    def key_head(self, head: int) -> int | None:
        """Index of the key and value head that a query head shares; None where it has its own. Both count from 0."""
        return None if self.kv_heads == self.n_head else head // (self.n_head // self.kv_heads)

    @property
    def qkv_widths(self) -> tuple[int, int, int]:
        """Rows of ``c_attn`` for queries, keys and values: all query heads, then key heads, then value heads."""
        shared = self.kv_heads * self.head_size
        return self.n_head * self.head_size, shared, shared

    @property
    def heads_width(self) -> int:
        """Width of all heads concatenated: the input width of ``attn.c_proj``."""
        return self.n_head * self.head_size

    @property
    def cached_per_token(self) -> int:
        """Numbers that one token adds to the key/value cache, over all layers."""
        _, k, v = self.qkv_widths
        return self.n_layer * (k + v)

    @property
    def mlp_width(self) -> int:
        """Width of the MLP's hidden layer."""
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    @property
    def mlp_shapes(self) -> dict[str, tuple[int, int]]:
        """The MLP's matrices, [out, in] each, in the order in which they are used."""
        up = (self.mlp_width, self.n_embd)
        gate = {"c_gate": up} if self.gated else {}
        return gate | {"c_fc": up, "c_proj": (self.n_embd, self.mlp_width)}

    @property
    def embedding_width(self) -> int:
        """Width of a row of the token embedding."""
        return self.n_embd if self.token_width is None else self.token_width

    @property
    def block_norms(self) -> tuple[str, ...]:
        """The norms of a layer, by the names of their modules, in the order in which they are used.

        ``ln_1`` and ``ln_2`` are before attention and MLP (``post``: after their sums with the residual stream),
        ``ln_1_out`` and ``ln_2_out`` on their outputs.
        """
        if self.shared_norm:
            return ("ln_1",)
        return {"after": ("ln_1_out", "ln_2_out"), "sandwich": ("ln_1", "ln_1_out", "ln_2", "ln_2_out")}.get(
            self.norm, ("ln_1", "ln_2")
        )

    @property
    def qk_norm_shapes(self) -> dict[str, tuple[int, ...]]:
        """The weight shapes of the norms on queries and keys; empty where there are no norms on them."""
        heads = {"q_norm": self.n_head, "k_norm": self.kv_heads}
        if self.qk_norm == "none":
            return {}
        if self.qk_norm == "each head":
            return {name: (count, self.head_size) for name, count in heads.items()}
        return {name: (self.head_size * (1 if self.qk_norm == "head" else count),) for name, count in heads.items()}

    @property
    def post_norm(self) -> bool:
        """Whether norms apply to the residual stream itself, after its sums; never with ``parallel_residual``."""
        return self.norm == "post" and not self.parallel_residual

    def scale(self, layer: int) -> float:
        """Factor of the attention scores in ``layer``."""
        chosen = self.head_size**-0.5 if self.attention_scale is None else self.attention_scale
        return (chosen if self.scale_attention else 1.0) / (layer + 1 if self.scale_by_layer else 1)

    def rotary_table(self, layer: int) -> int | None:
        """Index in ``rotary`` of the table that rotates queries and keys in ``layer``; None for no rotation."""
        if self.positions != "rotary":
            return None
        return self.rotary_layers[layer] if self.rotary_layers else 0

    @property
    def long_from(self) -> int | None:
        """The length beyond which all angles of a text change (longrope); None where there is no longrope table."""
        lengths = [table.original for table in self.rotary if table.kind == "longrope"]
        return min(filter(None, lengths), default=None) if self.positions == "rotary" else None

    def turns_long(self, before: int, after: int) -> bool:
        """Whether a text that changes between these lengths has other angles from its start on (longrope)."""
        border = self.long_from
        return border is not None and (before > border) != (after > border)

    def epochs(self, length: int) -> tuple[int, ...]:
        """For each rotary table, the epoch of a text of this length (see ``Rotary.epoch``)."""
        return tuple(table.epoch(length) for table in self.rotary) if self.positions == "rotary" else ()

    def window(self, layer: int) -> int | None:
        """Size of the sliding attention window of ``layer`` in positions; None for no window."""
        return self.windows[layer] if self.windows else None
