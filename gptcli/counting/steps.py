"""The steps that data takes through a GPT, in order: shapes and parameters, from its configuration alone (no torch).

The parameters of each step come from ``model.shapes``. Each parameter belongs to exactly one step, so the counts sum to
the model's, whichever layer and head are opened.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from gptcli.errors import InputError
from gptcli.model.config import GPTConfig
from gptcli.model.shapes import Shape, parameter_shapes


@dataclass(frozen=True)
class Weight:
    """A parameter of a step: its name, and the shape of the step's part of it.

    Attributes:
        name: such as ``h.3.attn.c_attn.weight``, of which queries, keys and values take their rows.
        shape: of the step's part.
        counted: False where another step counts it (a tied unembedding).
    """

    name: str
    shape: Shape
    counted: bool = True


@dataclass(frozen=True)
class TraceStep:
    """One step of the run.

    Attributes:
        name: such as ``query``; ``layer`` for a whole one, ``other heads`` next to an opened one.
        layer: which one, from 1; None outside the layers.
        head: which head, from 1; None for all of them.
        shape: of the data after the step.
        weights: its parameters; empty for ``layer`` and ``other heads``, which have too many to name.
        parameters: their number; each is counted in one step only.
        detail: a remark, such as the activation's name or how many cells a mask hides.
        numbers: a few of the data's real numbers; empty without a run.
    """

    name: str
    layer: int | None
    head: int | None
    shape: Shape
    weights: tuple[Weight, ...]
    parameters: int
    detail: str = ""
    numbers: tuple[float, ...] = ()


def walk(config: GPTConfig, n_tokens: int, layer: int | None = None, head: int | None = None) -> list[TraceStep]:
    """The steps of a run over so many tokens.

    Args:
        config: of the GPT.
        n_tokens: how many tokens are read; from 1 to the context length.
        layer: the layer to open, from 1; None folds all.
        head: the head to open in it, from 1; None shows all heads together.

    Raises:
        InputError: there is no such layer, head or length.
    """
    _check(config, n_tokens, layer, head)
    shapes = parameter_shapes(config)
    T, C, E = n_tokens, config.n_embd, config.embedding_width
    steps = [TraceStep("tokens", None, None, (T,), (), 0), *_embedding(config, shapes, T)]
    for number in range(1, config.n_layer + 1):
        opened = _layer(config, shapes, T, number)
        if number != layer:
            steps.append(TraceStep("layer", number, None, (T, C), (), sum(step.parameters for step in opened)))
        else:
            steps += opened if head is None else _one_head(config, opened, head)
    if config.final_norm:
        steps.append(_norm(shapes, "ln_f", "final norm", (T, C), None))
    if E != C:
        steps.append(_step("projection out", None, (T, E), _take(shapes, "project_out")))
    unembedding = _take(shapes, "lm_head")
    if config.tied:
        unembedding = (Weight("wte.weight", shapes["wte.weight"], counted=False), *unembedding)
    steps.append(_step("unembedding", None, (T, config.vocab_size), unembedding, "tied" if config.tied else ""))
    return [*steps, TraceStep("probabilities", None, None, (T, config.vocab_size), (), 0, "softmax")]


def _check(config: GPTConfig, n_tokens: int, layer: int | None, head: int | None) -> None:
    if not 1 <= n_tokens <= config.n_positions:
        raise InputError(f"{n_tokens:,} tokens: it must be from 1 to the context of {config.n_positions:,}")
    if layer is not None and not 1 <= layer <= config.n_layer:
        raise InputError(f"--layer {layer}: it must be from 1 to {config.n_layer:,}, the layers of this model")
    if head is not None and layer is None:
        raise InputError(f"--head {head}: say which layer's, with --layer")
    if head is not None and not 1 <= head <= config.n_head:
        raise InputError(f"--head {head}: it must be from 1 to {config.n_head:,}, the heads of a layer")


def _embedding(config: GPTConfig, shapes: dict[str, Shape], T: int) -> Iterator[TraceStep]:
    yield _step("token embedding", None, (T, config.embedding_width), _take(shapes, "wte"), "a row for each token")
    if config.embedding_width != config.n_embd:
        yield _step("projection in", None, (T, config.n_embd), _take(shapes, "project_in"))
    if config.positions == "learned":
        yield _step("+ position", None, (T, config.n_embd), _take(shapes, "wpe"), "a row for each position")
    elif config.positions == "sinusoidal":
        yield TraceStep("+ position", None, None, (T, config.n_embd), (), 0, "fixed sines")


def _layer(config: GPTConfig, shapes: dict[str, Shape], T: int, number: int) -> list[TraceStep]:
    """The steps of a layer, all heads together."""
    stream, inside = (T, config.n_embd), f"h.{number - 1}"
    attention = list(_attention(config, shapes, T, number))
    mlp = list(_mlp(config, shapes, T, number))
    first = _norm(shapes, f"{inside}.ln_1", "norm 1", stream, number)
    second = _norm(shapes, f"{inside}.ln_2", "norm 2", stream, number)
    if config.parallel_residual:
        both = TraceStep("+ residual", number, None, stream, (), 0, "stream + attention + MLP")
        return [first, *attention, *([] if config.shared_norm else [second]), *mlp, both]
    after_attention = TraceStep("+ residual 1", number, None, stream, (), 0, "stream + attention")
    after_mlp = TraceStep("+ residual 2", number, None, stream, (), 0, "stream + MLP")
    if config.norm == "post":
        return [*attention, after_attention, first, *mlp, after_mlp, second]
    return [first, *attention, after_attention, second, *mlp, after_mlp]


def _attention(config: GPTConfig, shapes: dict[str, Shape], T: int, number: int) -> Iterator[TraceStep]:
    heads, square = (config.n_head, T, config.head_size), (config.n_head, T, T)
    matrices = _take(shapes, f"h.{number - 1}.attn.c_attn")
    for name, rows in zip(("query", "key", "value"), config.qkv_widths, strict=True):
        own = tuple(replace(weight, shape=(rows, *weight.shape[1:])) for weight in matrices)
        yield _step(name, number, (rows // config.head_size, T, config.head_size), own)
    if config.positions == "rotary":
        yield TraceStep("rotated", number, None, heads, (), 0, "queries and keys, by their positions")
    divisor = _divisor(config, number)
    yield TraceStep("scores", number, None, square, (), 0, f"query · key{divisor}")
    yield TraceStep("mask", number, None, square, (), 0, _hidden(T, config.window(number - 1)))
    yield TraceStep("softmax", number, None, square, (), 0, "each row sums to 1")
    yield TraceStep("weighted values", number, None, heads, (), 0, "pattern · value")
    yield _step("output", number, (T, config.n_embd), _take(shapes, f"h.{number - 1}.attn.c_proj"))


def _divisor(config: GPTConfig, number: int) -> str:
    divisor = f" / √{config.head_size}" if config.scale_attention else ""
    return f"{divisor} / {number}" if config.scale_by_layer else divisor


def _hidden(T: int, window: int | None) -> str:
    """How many cells of a head's T × T the mask hides: the future, and positions before the window."""
    reach = T if window is None else min(window, T)
    seen = reach * (reach + 1) // 2 + (T - reach) * reach
    behind = "" if window is None or window >= T else f" and all but the latest {window:,}"
    return f"the future{behind}: {T * T - seen:,} of {T * T:,} cells"


def _mlp(config: GPTConfig, shapes: dict[str, Shape], T: int, number: int) -> Iterator[TraceStep]:
    wide = (T, config.mlp_width)
    up = _step("up", number, wide, _take(shapes, f"h.{number - 1}.mlp.c_fc"))
    activation = TraceStep("activation", number, None, wide, (), 0, config.activation)
    if config.gated:
        yield _step("gate", number, wide, _take(shapes, f"h.{number - 1}.mlp.c_gate"))
        yield from (activation, up, TraceStep("gated", number, None, wide, (), 0, "activation × up"))
    else:
        yield from (up, activation)
    yield _step("down", number, (T, config.n_embd), _take(shapes, f"h.{number - 1}.mlp.c_proj"))


def _one_head(config: GPTConfig, steps: Sequence[TraceStep], head: int) -> Iterator[TraceStep]:
    """The same steps for one head, with a step that has the parameters of the others."""
    others = 0
    for step in steps:
        if len(step.shape) == 3:  # the first dimension is the heads
            weights = tuple(replace(each, shape=(config.head_size, *each.shape[1:])) for each in step.weights)
            own = _count(weights)
            others += step.parameters - own
            yield replace(step, head=head, shape=step.shape[1:], weights=weights, parameters=own)
            continue
        if step.name == "output" and config.n_head > 1:
            others_shape = (step.shape[0], config.heads_width - config.head_size)
            yield TraceStep(
                "other heads", step.layer, None, others_shape, (), others, f"{config.n_head - 1:,}, side by side"
            )
        yield step


def _norm(shapes: dict[str, Shape], module: str, name: str, shape: Shape, number: int | None) -> TraceStep:
    return _step(name, number, shape, _take(shapes, module))


def _step(name: str, layer: int | None, shape: Shape, weights: tuple[Weight, ...], detail: str = "") -> TraceStep:
    return TraceStep(name, layer, None, shape, weights, _count(weights), detail)


def _count(weights: Sequence[Weight]) -> int:
    return sum(prod(weight.shape) for weight in weights if weight.counted)


def _take(shapes: dict[str, Shape], module: str) -> tuple[Weight, ...]:
    """The parameters of one of the model's modules."""
    names = (f"{module}.weight", f"{module}.bias")
    return tuple(Weight(name, shapes[name]) for name in names if name in shapes)
