"""Counts a GPT's parameters by category, from its configuration alone.

First the scoreboard of 3Blue1Brown's chapters ("How might LLMs store facts", 2024): the weight matrices of a
transformer, with a key, query and value matrix for each head, and embedding and unembedding counted separately. Then
the corrections for parameters that it leaves out (positions, biases, layer norms) or counts twice (a tied unembedding).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from gptcli.model.config import GPTConfig
from gptcli.model.shapes import Shape

# Bits of one weight. Quantized weights are counted without their scales, which add a few per cent. "int4" is what
# --quantize int4 does: the MLPs in 4 bits, and all other matrices in 8.
WEIGHT_BITS = {"float32": 32, "bfloat16": 16, "int8": 8, "int4": 4}
# Precisions in which keys and values are cached; quantized models cache in one of these too.
CACHE_BITS = {"float32": 32, "bfloat16": 16}
_FIXED_POSITIONS = {"sinusoidal": "fixed sines", "rotary": "rotary angles", "alibi": "slopes on the scores"}
_MLP_NAMES = {"c_gate": "Gate", "c_fc": "Up", "c_proj": "Down"}
# A mixture's modules: the router, the experts, and the shared expert that processes every token.
_EXPERT_NAMES = {
    "mlp.router": "Router",
    **{f"mlp.experts.{name}": f"Experts' {word.lower()}" for name, word in _MLP_NAMES.items()},
    **{f"mlp.shared.{name}": f"Shared {word.lower()}" for name, word in _MLP_NAMES.items()},
    "mlp.shared_router": "Shared one's gate",
}
_NORM_NAMES = {"layer": "layer norms", "rms": "RMS norms"}


@dataclass(frozen=True)
class Matrices:
    """One line of the scoreboard: all weight matrices of one kind.

    Attributes:
        name: the kind.
        n_rows: rows of one matrix (of one head's part, if it has heads).
        n_columns: columns of one matrix.
        n_heads: the number of heads or experts of a layer; None for a kind without them.
        n_layers: the number of layers; None for a kind outside the layers.
        n_matrices: the number of matrices. The output parts of a layer's heads count as one matrix.
        count: the parameters of all of them.
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
    """A named parameter count.

    Attributes:
        name: of what is counted.
        formula: how the count is worked out.
        count: parameters; negative if they are subtracted.
    """

    name: str
    formula: str
    count: int


@dataclass(frozen=True)
class Memory:
    """The memory of a model in one precision, in bytes.

    Attributes:
        dtype: the precision.
        weights: bytes of all parameters.
        cache_per_token: bytes of the keys and values of one token; None if nothing is cached in this precision.
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
        n_matrices: the number of weight matrices.
        sums: weights of one head (if each has its own keys), of one layer's attention, of all attention and all MLPs.
        corrections: from the scoreboard's total to ``parameters``.
        parameters: the exact number, each counted once.
        active: the parameters that one token uses: all but those of the experts it is not routed to. None without
            experts.
    """

    scoreboard: tuple[Matrices, ...]
    scoreboard_total: int
    n_matrices: int
    sums: tuple[Term, ...]
    corrections: tuple[Term, ...]
    parameters: int
    active: int | None = None


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
        active=_active(config, parameters),
    )


def _active(config: GPTConfig, parameters: int) -> int | None:
    if config.experts is None:
        return None
    idle = config.experts.count - config.experts.active
    of_one = sum(prod(shape[1:]) for name, shape in _expert_shapes(config).items() if name.startswith("mlp.experts."))
    return parameters - idle * of_one * config.experts.n_layers(config.n_layer)


def _expert_shapes(config: GPTConfig) -> dict[str, Shape]:
    return {} if config.experts is None else config.experts.shapes(config.n_embd, config.gated)


def _plain_layers(config: GPTConfig) -> int:
    """The number of layers that have an MLP, not experts."""
    return config.n_layer - (0 if config.experts is None else config.experts.n_layers(config.n_layer))


def memory(parameters: int, config: GPTConfig | None = None) -> tuple[Memory, ...]:
    """The memory of the weights and, for a GPT, of its KV cache, in each precision.

    Every layer caches the keys and values of every token.

    Args:
        parameters: the number of parameters.
        config: the GPT's configuration; None for other models, which have no cache.
    """
    made = []
    mlps = parameters if config is None else sum(count for name, *_, count in _mlp_matrices(config) if name != "Router")
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
    yield from _mlp_matrices(config)
    yield "Unembedding", vocabulary, token_width, None, None, 1, vocabulary * token_width


def _mlp_matrices(config: GPTConfig) -> Iterator[_Line]:
    plain, mixed = _plain_layers(config), config.n_layer - _plain_layers(config)
    if plain or not mixed:
        for name, (rows, columns) in config.mlp_shapes.items():
            yield f"{_MLP_NAMES[name]}-projection", rows, columns, None, plain, plain, rows * columns * plain
    for name, shape in _expert_shapes(config).items():
        if not name.endswith(".weight"):
            continue
        experts = shape[0] if len(shape) == 3 else None
        matrices, (rows, columns) = mixed * (experts or 1), shape[-2:]
        named = _EXPERT_NAMES[name.removesuffix(".weight")]
        yield named, rows, columns, experts, mixed, matrices, rows * columns * matrices


def _sums(config: GPTConfig) -> Iterator[Term]:
    width, heads, layers = config.n_embd, config.n_head, config.n_layer
    attention = sum(config.qkv_widths) + config.heads_width  # rows of queries, keys, values; columns of the output
    if config.kv_heads == heads:
        yield Term("one attention head", _product(4, config.head_size, width), attention // heads * width)
        yield Term("attention of one layer", f"× {_product(heads)} heads", attention * width)
    else:
        yield Term("attention of one layer", _product(attention, width), attention * width)
    yield Term("all attention", f"× {_product(layers)} layers", attention * width * layers)
    plain, matrices = _plain_layers(config), len(config.mlp_shapes)
    if plain or config.experts is None:
        of_one = sum(rows * columns for rows, columns in config.mlp_shapes.values())
        yield Term("one MLP", _product(matrices, config.mlp_width, width), of_one)
        yield Term("all MLPs", f"× {_product(plain)} layers", of_one * plain)
    if config.experts is not None:
        of_one, count = matrices * config.experts.width * width, config.experts.count
        yield Term("one expert", _product(matrices, config.experts.width, width), of_one)
        yield Term("all experts", f"× {_product(count, layers - plain)} layers", of_one * count * (layers - plain))


def _corrections(config: GPTConfig) -> Iterator[Term]:
    """The terms from the scoreboard's total to the exact number; positions are listed even if their count is zero."""
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
    if config.mlp_bias and (_plain_layers(config) or config.experts is None):
        for name, (rows, _) in config.mlp_shapes.items():
            yield _times(f"{_MLP_NAMES[name].lower()}-projection biases", rows, _plain_layers(config))
    for name, shape in _expert_shapes(config).items():
        if name.endswith(".bias"):
            named = _EXPERT_NAMES[name.removesuffix(".bias")]
            yield _times(f"{named[0].lower()}{named[1:]} biases", *shape, layers - _plain_layers(config))
    if config.sinks:
        yield _times("sinks", config.n_head, layers)
    norms = len(config.block_norms) * layers + config.final_norm + config.embedding_norm
    if norms and config.norm_weight:
        # Each norm has a scale and, unless configured otherwise, a shift for every number of the residual stream.
        yield _times(_NORM_NAMES[config.norm_kind], *((norms, 2, width) if config.norm_bias else (norms, width)))
    if config.qk_norm_shapes and config.norm_weight:
        numbers = sum(prod(shape) for shape in config.qk_norm_shapes.values())
        yield _times("query and key norms", *((2,) if config.qk_norm_bias else ()), numbers, layers)
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
