"""The steps of a GPT's forward pass in order, with shapes and parameters, from its configuration alone; no torch.

The parameters of each step come from ``model.shapes``. Each parameter belongs to exactly one step, so the steps' counts
sum to the model's, whether or not a layer or head is expanded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from gptcli.errors import InputError
from gptcli.model.config import GPTConfig
from gptcli.model.experts import Experts
from gptcli.model.shapes import Shape, parameter_shapes


@dataclass(frozen=True)
class Weight:
    """A parameter that a step uses: its name in the checkpoint, and the shape of the part that the step uses.

    Attributes:
        name: for example ``h.3.attn.c_attn.weight``, of which queries, keys and values each use some rows.
        shape: the shape of the step's part.
        counted: False if another step counts it (a tied unembedding).
    """

    name: str
    shape: Shape
    counted: bool = True


@dataclass(frozen=True)
class TraceStep:
    """One step of the forward pass.

    Attributes:
        name: the operation, such as ``query``; ``layer`` for a whole layer, ``other heads`` next to an expanded one.
        layer: the layer's number, from 1; None outside the layers.
        head: the head's number, from 1; None for all heads.
        shape: the shape of the step's output.
        weights: the parameters it uses; empty for ``layer`` and ``other heads``, which do not list theirs.
        parameters: the number of parameters, each counted in one step only.
        detail: a remark, for example the activation's name or how many cells the mask hides.
        numbers: a few values of the output; empty without a run.
    """

    name: str
    layer: int | None
    head: int | None
    shape: Shape
    weights: tuple[Weight, ...]
    parameters: int
    detail: str = ""
    numbers: tuple[float, ...] = ()


OF_POSITIONS = ("tokens", "scores", "capped", "+ slope", "mask", "softmax")
"""The steps whose rows have one number per position; the last numbers are those of the nearest positions."""


def walk(config: GPTConfig, n_tokens: int, layer: int | None = None, head: int | None = None) -> list[TraceStep]:
    """The steps of a forward pass over ``n_tokens`` tokens.

    Args:
        config: the GPT's configuration.
        n_tokens: the number of input tokens, from 1 to the context length.
        layer: the layer to expand, from 1; None expands none.
        head: the head to expand in it, from 1; None shows all heads together.

    Raises:
        InputError: the layer, head or length is out of range.
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
    steps.append(_step("unembedding", None, (T, config.vocab_size), unembedding, _unembedding(config)))
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
    if config.embedding_scale != 1:
        yield TraceStep("scaled embedding", None, None, (T, config.n_embd), (), 0, f"× {config.embedding_scale:g}")
    if config.positions == "learned":
        yield _step("+ position", None, (T, config.n_embd), _take(shapes, "wpe"), "a row for each position")
    elif config.positions == "sinusoidal":
        yield TraceStep("+ position", None, None, (T, config.n_embd), (), 0, "fixed sines")
    if config.embedding_norm:
        yield _norm(shapes, "ln_0", "embedding norm", (T, config.n_embd), None)


def _layer(config: GPTConfig, shapes: dict[str, Shape], T: int, number: int) -> list[TraceStep]:
    """A layer's steps, all heads together."""
    stream = (T, config.n_embd)
    norms = {name: _norm(shapes, f"h.{number - 1}.{name}", _NORMS[name], stream, number) for name in config.block_norms}

    def norm(name: str) -> list[TraceStep]:
        return [norms[name]] if name in norms else []

    attention = [*_attention(config, shapes, T, number), *norm("ln_1_out")]
    mlp = [*_mlp(config, shapes, T, number), *norm("ln_2_out")]
    share = "" if config.residual_scale == 1 else f", each × {config.residual_scale:g}"
    if config.parallel_residual:
        both = TraceStep("+ residual", number, None, stream, (), 0, f"stream + attention + MLP{share}")
        return [*norm("ln_1"), *attention, *norm("ln_2"), *mlp, both]
    share = share.replace(", each", "")
    after_attention = TraceStep("+ residual 1", number, None, stream, (), 0, f"stream + attention{share}")
    after_mlp = TraceStep("+ residual 2", number, None, stream, (), 0, f"stream + MLP{share}")
    if config.post_norm:
        return [*attention, after_attention, *norm("ln_1"), *mlp, after_mlp, *norm("ln_2")]
    return [*norm("ln_1"), *attention, after_attention, *norm("ln_2"), *mlp, after_mlp]


_NORMS = {"ln_1": "norm 1", "ln_1_out": "norm after attention", "ln_2": "norm 2", "ln_2_out": "norm after MLP"}


def _attention(config: GPTConfig, shapes: dict[str, Shape], T: int, number: int) -> Iterator[TraceStep]:
    heads, square, inside = (config.n_head, T, config.head_size), (config.n_head, T, T), f"h.{number - 1}.attn"
    matrices = _take(shapes, f"{inside}.c_attn")
    clamped = "" if config.qkv_clip is None else f"clamped to ±{config.qkv_clip:g}"
    shared = "" if config.kv_heads == config.n_head else f"each for {config.n_head // config.kv_heads} query heads"
    for name, rows in zip(("query", "key", "value"), config.qkv_widths, strict=True):
        own = tuple(replace(weight, shape=(rows, *weight.shape[1:])) for weight in matrices)
        detail = ", ".join(filter(None, (clamped, "" if name == "query" else shared)))
        yield _step(name, number, (rows // config.head_size, T, config.head_size), own, detail)
    for name, count in (("q_norm", config.n_head), ("k_norm", config.kv_heads)) if config.qk_norm != "none" else ():
        over = "all heads together" if config.qk_norm == "whole" else "each head alone"
        shape, full_name = (count, T, config.head_size), {"q_norm": "query norm", "k_norm": "key norm"}[name]
        yield _step(full_name, number, shape, _take(shapes, f"{inside}.{name}"), over)
    if config.rotary_table(number - 1) is not None:
        grown = "; queries grow with theirs" if config.query_growth else ""
        yield TraceStep("rotated", number, None, heads, (), 0, f"queries and keys, by their positions{grown}")
    yield TraceStep("scores", number, None, square, (), 0, f"query · key{_divisor(config, number)}")
    if config.attention_cap is not None:
        cap = f"{config.attention_cap:g}"
        yield TraceStep("capped", number, None, square, (), 0, f"{cap} · tanh(score / {cap})")
    if config.positions == "alibi":
        yield TraceStep("+ slope", number, None, square, (), 0, "less for each position between")
    yield TraceStep("mask", number, None, square, (), 0, _hidden(T, config.window(number - 1)))
    sinks = (Weight(name, shapes[name]),) if (name := f"{inside}.sinks") in shapes else ()
    yield _step("softmax", number, square, sinks, "each row sums to 1" + (", its sink included" if sinks else ""))
    yield TraceStep("weighted values", number, None, heads, (), 0, "pattern · value")
    yield _step("output", number, (T, config.n_embd), _take(shapes, f"{inside}.c_proj"))


def _divisor(config: GPTConfig, number: int) -> str:
    divisor = f" / √{config.head_size}" if config.attention_scale is None else f" × {config.attention_scale:g}"
    divisor = divisor if config.scale_attention else ""
    return f"{divisor} / {number}" if config.scale_by_layer else divisor


def _unembedding(config: GPTConfig) -> str:
    """The remark on the unembedding matrix and on the scaling and capping of the logits."""
    scale = "" if config.logit_scale == 1 else f"× {config.logit_scale:g}"
    cap = "" if config.logit_cap is None else f"capped at ±{config.logit_cap:g}"
    return ", ".join(filter(None, ("tied" if config.tied else "", scale, cap)))


def _hidden(T: int, window: int | None) -> str:
    """How many cells of a head's T × T scores the mask hides: future positions, and those outside the window."""
    reach = T if window is None else min(window, T)
    seen = reach * (reach + 1) // 2 + (T - reach) * reach
    behind = "" if window is None or window >= T else f" and all but the latest {window:,}"
    return f"the future{behind}: {T * T - seen:,} of {T * T:,} cells"


def _mlp(config: GPTConfig, shapes: dict[str, Shape], T: int, number: int) -> Iterator[TraceStep]:
    if config.experts is not None and config.experts.stand_in(number - 1):
        yield from _experts(config, config.experts, shapes, T, number)
        return
    wide = (T, config.mlp_width)
    up = _step("up", number, wide, _take(shapes, f"h.{number - 1}.mlp.c_fc"))
    activation = TraceStep("activation", number, None, wide, (), 0, config.activation)
    if config.gated:
        yield _step("gate", number, wide, _take(shapes, f"h.{number - 1}.mlp.c_gate"))
        yield from (activation, up, TraceStep("gated", number, None, wide, (), 0, "activation × up"))
    else:
        yield from (up, activation)
    yield _step("down", number, (T, config.n_embd), _take(shapes, f"h.{number - 1}.mlp.c_proj"))


def _experts(config: GPTConfig, experts: Experts, shapes: dict[str, Shape], T: int, number: int) -> Iterator[TraceStep]:
    inside = f"h.{number - 1}.mlp"
    chosen = f"{experts.active} of {experts.count} for each token"
    yield _step("router", number, (T, experts.count), _take(shapes, f"{inside}.router"), chosen)
    own = tuple(Weight(name, shape) for name, shape in shapes.items() if name.startswith(f"{inside}.experts."))
    yield _step("experts", number, (T, experts.active, config.n_embd), own, f"MLPs {experts.width:,} wide")
    shared = tuple(Weight(name, shape) for name, shape in shapes.items() if name.startswith(f"{inside}.shared"))
    if shared:
        yield _step("shared expert", number, (T, config.n_embd), shared, "for every token, times its gate")
    yield TraceStep("mixed", number, None, (T, config.n_embd), (), 0, "their sum, weighted by the router")


def _one_head(config: GPTConfig, steps: Sequence[TraceStep], head: int) -> Iterator[TraceStep]:
    """The same steps with one head instead of all; the other heads' parameters are a step of their own."""
    others = 0
    for step in steps:
        if len(step.shape) == 3 and step.name != "experts":  # the first dimension is heads
            weights = tuple(replace(each, shape=_of_one_head(config, step, each.shape)) for each in step.weights)
            own = _count(weights)
            others += step.parameters - own
            shared = config.key_head(head - 1) if step.name in ("key", "value", "key norm") else None
            detail = step.detail if shared is None else f"key head {shared + 1}, {step.detail}"
            yield replace(step, head=head, shape=step.shape[1:], weights=weights, parameters=own, detail=detail)
            continue
        if step.name == "output" and config.n_head > 1:
            others_shape = (step.shape[0], config.heads_width - config.head_size)
            yield TraceStep(
                "other heads", step.layer, None, others_shape, (), others, f"{config.n_head - 1:,}, side by side"
            )
        yield step


def _of_one_head(config: GPTConfig, step: TraceStep, shape: Shape) -> Shape:
    """The shape of a head's part of a weight: its rows, or its row of a norm that has one per head."""
    if step.name == "softmax":  # a sink
        return (1,)
    if step.name.endswith("norm"):
        return shape[1:] if config.qk_norm == "each head" else (config.head_size,)
    return (config.head_size, *shape[1:])


def _norm(shapes: dict[str, Shape], module: str, name: str, shape: Shape, number: int | None) -> TraceStep:
    return _step(name, number, shape, _take(shapes, module))


def _step(name: str, layer: int | None, shape: Shape, weights: tuple[Weight, ...], detail: str = "") -> TraceStep:
    return TraceStep(name, layer, None, shape, weights, _count(weights), detail)


def _count(weights: Sequence[Weight]) -> int:
    return sum(prod(weight.shape) for weight in weights if weight.counted)


def _take(shapes: dict[str, Shape], module: str) -> tuple[Weight, ...]:
    """The parameters of one module of the model."""
    names = (f"{module}.weight", f"{module}.bias")
    return tuple(Weight(name, shapes[name]) for name in names if name in shapes)
