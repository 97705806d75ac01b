"""The shape of a GPT: every number and choice that a checkpoint family may set, and how its blocks are divided.

Code that builds, cuts, counts or shows a block asks ``GPTConfig`` for its parts (``qkv_widths``, ``mlp_shapes``), and
computes none of them itself.
"""

from dataclasses import dataclass, replace
from typing import Literal

Activation = Literal["gelu_new", "gelu", "quick_gelu", "relu", "relu2", "silu", "mish", "tanh", "sigmoid"]


@dataclass(frozen=True)
class GPTConfig:
    """What has to be known to build a GPT, in GPT-2's own names where it has one.

    The defaults are GPT-2 small (Radford et al. 2019). The knobs below ``layer_norm_epsilon`` are those in which the
    other families differ from it.

    Attributes:
        vocab_size: rows of the token embedding.
        n_positions: the context length in tokens.
        n_embd: width of the residual stream.
        n_layer: number of blocks.
        n_head: attention heads of a block, which are query heads.
        n_inner: width of the MLP's hidden layer; None means ``4 * n_embd``.
        activation: the MLP's non-linearity (``gelu_new`` is the tanh approximation).
        layer_norm_epsilon: added to the variance in every layer norm, to the mean square in an RMS norm.
        n_kv_head: key and value heads; the query heads come in as many groups, each of which shares one (Ainslie et al.
            2023). None means ``n_head``.
        head_width: width of one head; None means ``n_embd / n_head``.
        norm_kind: layer norms (Ba et al. 2016) or RMS norms (Zhang & Sennrich 2019), which have no bias.
        gated: the MLP's hidden layer is the activation of one matrix times another (Shazeer 2020), not of one alone.
        positions: how a token learns where it stands: a learned table, fixed sines (Vaswani et al. 2017), or rotary
            angles on queries and keys (Su et al. 2021).
        position_offset: first row used of a learned table (OPT skips 2).
        rotary_dim: how many numbers of each head are rotated.
        rotary_base: the rotary wavelengths' base.
        rotary_interleaved: rotate neighbouring pairs (GPT-J) instead of halves (GPT-NeoX).
        norm: layer norm before each sub-layer (GPT-2) or after its residual sum (GPT-1).
        final_norm: whether a layer norm stands before the unembedding.
        parallel_residual: attention and MLP both read the block's input, and their outputs are added together.
        shared_norm: one layer norm serves both sub-layers (GPT-J); needs ``parallel_residual``.
        scale_attention: divide the scores by the square root of the head size.
        scale_by_layer: divide the scores of layer ``i`` by ``i + 1`` as well.
        windows: for each layer the number of latest positions that attention sees, None for all; empty: all see all.
        qkv_bias, attention_bias, mlp_bias, norm_bias: whether these layers have biases (``attention_bias`` is that
            of the output projection).
        norm_weight: whether layer norms have a scale of their own; without one they have no bias either.
        tied: the unembedding is the token embedding.
        unembedding_bias: whether the unembedding has a bias (GPT-J).
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
    gated: bool = False
    positions: Literal["learned", "sinusoidal", "rotary"] = "learned"
    position_offset: int = 0
    rotary_dim: int = 0
    rotary_base: float = 10000.0
    rotary_interleaved: bool = False
    norm: Literal["pre", "post"] = "pre"
    final_norm: bool = True
    parallel_residual: bool = False
    shared_norm: bool = False
    scale_attention: bool = True
    scale_by_layer: bool = False
    windows: tuple[int | None, ...] = ()
    qkv_bias: bool = True
    attention_bias: bool = True
    mlp_bias: bool = True
    norm_bias: bool = True
    norm_weight: bool = True
    tied: bool = True
    unembedding_bias: bool = False
    token_width: int | None = None

    def __post_init__(self) -> None:
        """Refuse shapes that no GPT can have.

        Raises:
            ValueError: says which field is impossible and why.
        """
        for name in ("vocab_size", "n_positions", "n_embd", "n_head"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.n_layer < 0:
            raise ValueError(f"n_layer must not be negative, not {self.n_layer}")
        for name in ("n_inner", "n_kv_head", "head_width"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.n_head % self.kv_heads:
            raise ValueError(f"n_head {self.n_head} does not divide into n_kv_head {self.kv_heads} groups")
        if self.head_width is None and self.n_embd % self.n_head:
            raise ValueError(f"n_embd {self.n_embd} does not divide into n_head {self.n_head} heads")
        if not 0 < self.layer_norm_epsilon < 1:
            raise ValueError(f"layer_norm_epsilon must lie between 0 and 1, not {self.layer_norm_epsilon}")
        if self.positions == "rotary" and not (0 < self.rotary_dim <= self.head_size and self.rotary_dim % 2 == 0):
            raise ValueError(f"rotary_dim {self.rotary_dim} must be even and at most the head size {self.head_size}")
        if self.windows and len(self.windows) != self.n_layer:
            raise ValueError(f"windows has {len(self.windows)} entries for {self.n_layer} layers")
        if self.shared_norm and not self.parallel_residual:
            raise ValueError("shared_norm needs parallel_residual")
        if self.norm_bias and not self.norm_weight:
            raise ValueError("norm_bias needs norm_weight")
        if self.norm_bias and self.norm_kind == "rms":
            raise ValueError("norm_bias needs layer norms: an RMS norm has none")

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head if self.head_width is None else self.head_width

    @property
    def kv_heads(self) -> int:
        """Heads that keys and values have; each serves ``n_head / kv_heads`` query heads, one after the other."""
        return self.n_head if self.n_kv_head is None else self.n_kv_head

    @property
    def qkv_widths(self) -> tuple[int, int, int]:
        """Rows of ``c_attn`` that make queries, keys and values: all query heads, then key heads, then value heads."""
        shared = self.kv_heads * self.head_size
        return self.n_head * self.head_size, shared, shared

    @property
    def heads_width(self) -> int:
        """Width of all heads side by side: what ``attn.c_proj`` reads."""
        return self.n_head * self.head_size

    @property
    def cached_per_token(self) -> int:
        """Numbers that one token leaves in the key/value cache, over all layers."""
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
    def post_norm(self) -> bool:
        """Whether norms stand on the residual stream itself, behind its sums; a parallel block has no such place."""
        return self.norm == "post" and not self.parallel_residual

    def window(self, layer: int) -> int | None:
        """How many of the latest positions attention in ``layer`` sees; None for all."""
        return self.windows[layer] if self.windows else None


_GPT2 = GPTConfig()
# GPT-3 (Brown et al. 2020, table 2.1): the same vocabulary, 2,048 positions. The sizes whose heads do not divide the
# width as printed there (13B: 40 heads of 128 in a width of 5,140) use heads x head size.
_GPT3 = GPTConfig(n_positions=2048)

PRESETS: dict[str, GPTConfig] = {
    "gpt2": _GPT2,
    "gpt2-medium": replace(_GPT2, n_layer=24, n_embd=1024, n_head=16),
    "gpt2-large": replace(_GPT2, n_layer=36, n_embd=1280, n_head=20),
    "gpt2-xl": replace(_GPT2, n_layer=48, n_embd=1600, n_head=25),
    "gpt3-small": replace(_GPT3, n_layer=12, n_embd=768, n_head=12),
    "gpt3-medium": replace(_GPT3, n_layer=24, n_embd=1024, n_head=16),
    "gpt3-large": replace(_GPT3, n_layer=24, n_embd=1536, n_head=16),
    "gpt3-xl": replace(_GPT3, n_layer=24, n_embd=2048, n_head=16),
    "gpt3-2.7b": replace(_GPT3, n_layer=32, n_embd=2560, n_head=32),
    "gpt3-6.7b": replace(_GPT3, n_layer=32, n_embd=4096, n_head=32),
    "gpt3-13b": replace(_GPT3, n_layer=40, n_embd=5120, n_head=40),
    "gpt3": replace(_GPT3, n_layer=96, n_embd=12288, n_head=96),
}
