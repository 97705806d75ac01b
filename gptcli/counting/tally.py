"""A GPT's parameters counted by category, from its configuration alone.

First the scoreboard of 3Blue1Brown's chapters ("How might LLMs store facts", 2024): the weight matrices of a
transformer, a key, query and value matrix for each head, embedding and unembedding apart. Then what that scoreboard
leaves out (positions, biases, layer norms) or counts twice (a tied unembedding), down to the exact number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from gptcli.model.config import GPTConfig

# Bits of one weight. Quantized weights are counted without their scales, which add a few per cent. "int4" is what
# --quantize int4 keeps of a GPT: the MLPs in 4 bits, and all else in 8.
WEIGHT_BITS = {"float32": 32, "bfloat16": 16, "int8": 8, "int4": 4}
# Precisions in which keys and values are cached; quantized models cache in one of these too.
CACHE_BITS = {"float32": 32, "bfloat16": 16}
_FIXED_POSITIONS = {"sinusoidal": "fixed sines", "rotary": "rotary angles", "alibi": "slopes on the scores"}
_MLP_NAMES = {"c_gate": "Gate", "c_fc": "Up", "c_proj": "Down"}
_NORM_NAMES = {"layer": "layer norms", "rms": "RMS norms"}


@dataclass(frozen=True)
class Matrices:
    """One line of the scoreboard: all weight matrices of one kind.

    Attributes:
        name: the kind.
        n_rows: rows of one matrix (of one head's part, where there are heads).
        n_columns: columns of one matrix.
        n_heads: heads of a block; None for a kind that has no heads.
        n_layers: blocks; None for a kind that stands outside them.
        n_matrices: how many matrices that makes. The output parts of a block's heads are one matrix side by side.
        count: parameters of them all.
        share: ``count`` as a fraction of the scoreboard's total.
    """

    name: str
    n_rows: int
    n_columns: int
    n_heads: int | None
    n_layers: int | None
    n_matrices: int
    count: int
    share: float


@dataclass(frozen=True)
class Term:
    """A named number of parameters, and how it comes about; negative where it is taken away."""

    name: str
    formula: str
    count: int


@dataclass(frozen=True)
class Memory:
    """Bytes that a model takes in one precision.

    Attributes:
        dtype: the precision.
        weights: bytes of all parameters.
        cache_per_token: bytes of the keys and values of one token; None where nothing is cached in this precision.
        cache_at_full_context: bytes of the keys and values of a full context.
    """

    dtype: str
    weights: int
    cache_per_token: int | None
    cache_at_full_context: int | None


@dataclass(frozen=True)
class Tally:
    """The parameters of one GPT.

    Attributes:
        scoreboard: the weight matrices by kind.
        scoreboard_total: their sum, as the video counts.
        n_matrices: how many matrices these are.
        sums: what one head (where each has keys of its own), one block's attention, all attention and all MLPs come to,
            weights alone.
        corrections: what leads from the scoreboard's total to ``parameters``.
        parameters: the exact number, each counted once.
    """

    scoreboard: tuple[Matrices, ...]
    scoreboard_total: int
    n_matrices: int
    sums: tuple[Term, ...]
    corrections: tuple[Term, ...]
    parameters: int


def tally(config: GPTConfig) -> Tally:
    """Count the parameters of the GPT that ``config`` describes."""
    lines = list(_matrices(config))
    total = sum(count for *_, count in lines)
    scoreboard = tuple(Matrices(*line, share=line[-1] / total) for line in lines)
    corrections = tuple(_corrections(config))
    parameters = total + sum(term.count for term in corrections)
    return Tally(
        scoreboard=scoreboard,
        scoreboard_total=total,
        n_matrices=sum(line.n_matrices for line in scoreboard),
        sums=tuple(_sums(config)),
        corrections=corrections,
        parameters=parameters,
    )


def memory(parameters: int, config: GPTConfig | None = None) -> tuple[Memory, ...]:
    """The bytes that weights and, for a GPT, its cache take.

    Keys and values of every token are cached in every layer.

    Args:
        parameters: how many there are.
        config: the GPT; None for anything else, which has no cache.
    """
    made = []
    mlps = parameters if config is None else _mlp(config) * config.n_layer
    for dtype, bits in WEIGHT_BITS.items():
        in_bits = mlps * bits + (parameters - mlps) * max(bits, 8)
        weights, per_token, full = -(-in_bits // 8), None, None
        if config is not None and dtype in CACHE_BITS:
            per_token = config.cached_per_token * CACHE_BITS[dtype] // 8
            full = per_token * config.n_positions
        made.append(Memory(dtype, weights, per_token, full))
    return tuple(made)


_Line = tuple[str, int, int, int | None, int | None, int, int]


def _matrices(config: GPTConfig) -> Iterator[_Line]:
    """The scoreboard's lines: name, rows, columns, heads, layers, number of matrices, number of parameters."""
    vocabulary, token_width, width = config.vocab_size, config.embedding_width, config.n_embd
    heads, head_size, layers = config.n_head, config.head_size, config.n_layer
    yield "Embedding", token_width, vocabulary, None, None, 1, token_width * vocabulary
    q, k, v = config.qkv_widths
    for name, rows in (("Key", k), ("Query", q), ("Value", v)):
        count = rows // head_size
        yield name, head_size, width, count, layers, count * layers, rows * width * layers
    yield "Output", width, head_size, heads, layers, layers, width * config.heads_width * layers
    for name, (rows, columns) in config.mlp_shapes.items():
        yield f"{_MLP_NAMES[name]}-projection", rows, columns, None, layers, layers, rows * columns * layers
    yield "Unembedding", vocabulary, token_width, None, None, 1, vocabulary * token_width


def _sums(config: GPTConfig) -> Iterator[Term]:
    width, heads, layers = config.n_embd, config.n_head, config.n_layer
    attention = sum(config.qkv_widths) + config.heads_width  # rows of queries, keys, values; columns of the output
    if config.kv_heads == heads:
        yield Term("one attention head", _product(4, config.head_size, width), attention // heads * width)
        yield Term("one attention block", f"× {_product(heads)} heads", attention * width)
    else:
        yield Term("one attention block", _product(attention, width), attention * width)
    yield Term("all attention", f"× {_product(layers)} blocks", attention * width * layers)
    yield Term("one MLP", _product(len(config.mlp_shapes), config.mlp_width, width), _mlp(config))
    yield Term("all MLPs", f"× {_product(layers)} blocks", _mlp(config) * layers)


def _mlp(config: GPTConfig) -> int:
    """The weights of one block's MLP."""
    return sum(rows * columns for rows, columns in config.mlp_shapes.values())


def _corrections(config: GPTConfig) -> Iterator[Term]:
    """From the scoreboard's total to the exact number; the position line stands there even when it is zero."""
    width, layers, token_width = config.n_embd, config.n_layer, config.embedding_width
    if config.positions == "learned":
        yield _times("positions", config.n_positions + config.position_offset, width)
    else:
        yield Term("positions", _FIXED_POSITIONS[config.positions], 0)
    if token_width != width:
        yield _times("embedding projection", width, token_width)
        yield _times("unembedding projection", token_width, width)
    if config.qkv_bias:
        q, k, v = config.qkv_widths
        yield _times("query, key and value biases", *((3, q) if q == k == v else (q + k + v,)), layers)
    if config.attention_bias:
        yield _times("output biases", width, layers)
    if config.mlp_bias:
        for name, (rows, _) in config.mlp_shapes.items():
            yield _times(f"{_MLP_NAMES[name].lower()}-projection biases", rows, layers)
    norms = len(config.block_norms) * layers + config.final_norm + config.embedding_norm
    if norms and config.norm_weight:
        # Each norm has a scale and, unless told otherwise, a shift for every number of the residual stream.
        yield _times(_NORM_NAMES[config.norm_kind], *((norms, 2, width) if config.norm_bias else (norms, width)))
    of_heads = sum(prod(shape) for shape in config.qk_norm_shapes.values())
    if of_heads and config.norm_weight:
        yield _times("query and key norms", *((2, of_heads) if config.qk_norm_bias else (of_heads,)), layers)
    if config.unembedding_bias:
        yield _times("unembedding biases", config.vocab_size)
    if config.tied:
        yield Term("unembedding", "is the embedding", -config.vocab_size * token_width)


def _times(name: str, *factors: int) -> Term:
    count = 1
    for factor in factors:
        count *= factor
    return Term(name, _product(*factors), count)


def _product(*factors: int) -> str:
    return " × ".join(f"{factor:,}" for factor in factors)
