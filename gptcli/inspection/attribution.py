"""Direct logit attribution: what each part of the model adds to one token's logit (Elhage et al. 2021).

The residual stream is the sum of what the parts add to it. If the scale of each layer norm is frozen at its value in
this run, everything after a part is linear, so a logit is a sum of one term for each part. A direction starts as the
token's row of the unembedding and goes back through the model. A norm transforms it, and the term of a part is the dot
product of its output with the direction there. If norms come after the residual sums (GPT-1), a part's output passes
through all later norms.
"""

import math
from collections.abc import Generator, Iterator

import torch
from torch import Tensor, nn

from gptcli.inspection.contribution import Attribution as Attribution
from gptcli.inspection.contribution import Contribution as Contribution
from gptcli.inspection.record import LayerRecord, Record
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT, Block
from gptcli.model.norm import norm_scale


@torch.inference_mode()
def attribute(model: GPT, run: Record, token: int, data: bytes) -> Attribution:
    """Split one token's logit after the last position into its terms, in float64, from a recorded run.

    Args:
        model: that ran.
        run: the record.
        token: whose logit.
        data: the token's bytes.
    """
    parts = list(_walk_back(model, run, token))[::-1]
    frozen = _frozen(model.config) if run.layers or model.config.final_norm else None
    logit = float(model.unembed(_end(run))[token])
    return Attribution(token, data, logit, sum(part.logit for part in parts), parts, frozen)


def _end(run: Record) -> Tensor:
    """The residual stream of the last position after the last layer, [C]."""
    return (run.layers[-1].after if run.layers else run.embedded)[-1]


def _walk_back(model: GPT, run: Record, token: int) -> Iterator[Contribution]:
    """The term of each part, from the unembedding back to the embedding."""
    config = model.config
    direction = _exact(model.lm_head.weight[token])  # [E]
    factor = _logit_factor(model, run, token)
    if config.unembedding_bias:
        yield Contribution("unembedding bias", None, None, float(model.lm_head.bias[token]) * factor)
    direction = direction * factor
    if config.embedding_width != config.n_embd:
        direction = _exact(model.project_out.weight).T @ direction  # [C]
    if config.final_norm:
        direction = yield from _norm(config, model.ln_f, _end(run), direction, "final norm bias", None)
    for number in range(config.n_layer, 0, -1):
        block = model.h[number - 1]
        assert isinstance(block, Block)
        walk = _post_block if model.config.post_norm else _pre_block
        layer = run.layers[number - 1]
        parts, behind = _collected(walk(block, layer, direction, number))
        if run.changed:
            found = sum(part.logit for part in parts) + _dot(layer.before[-1], behind)
            yield Contribution("intervention", number, None, _dot(layer.after[-1], direction) - found)
        yield from parts
        direction = behind
    parts = list(_embedding(model, run, direction))
    if run.changed:
        rest = _dot(run.embedded[-1], direction) - sum(part.logit for part in parts)
        yield Contribution("intervention", None, None, rest)
    yield from parts


def _embedding(model: GPT, run: Record, direction: Tensor) -> Iterator[Contribution]:
    """What the stream begins with."""
    config = model.config
    token_at = torch.tensor(run.ids[-1:], device=run.embedded.device)
    word = model.embed_tokens(token_at)
    placed = model.add_positions(word, torch.tensor([len(run.ids) - 1], device=run.embedded.device))
    if config.embedding_norm:
        direction = yield from _norm(config, model.ln_0, placed[0], direction, "embedding norm bias", None)
    if config.positions in ("learned", "sinusoidal"):
        yield Contribution("position", None, None, _dot(_exact(placed[0]) - _exact(word[0]), direction))
    yield Contribution("embedding", None, None, _dot(word[0], direction))


def _frozen(config: GPTConfig) -> str | None:
    """What is held at its value in the run, on the way of every part."""
    inside = config.embedding_norm or config.post_norm or any(name.endswith("_out") for name in config.block_norms)
    norms = "every norm" if inside else "the final norm" if config.final_norm else None
    if config.logit_cap is None:
        return norms
    return "the cap on logits" if norms is None else f"{norms} and the cap on logits"


def _logit_factor(model: GPT, run: Record, token: int) -> float:
    """What the last state times the unembedding is multiplied by: the logits' scale, and what their cap leaves of it.

    A cap c tanh(z / c) is held at what it makes of this run's z, as norms are.
    """
    config = model.config
    if config.logit_cap is None:
        return config.logit_scale
    state = model.ln_f(_end(run))
    if config.embedding_width != config.n_embd:
        state = model.project_out(state)
    plain = _dot(state, _exact(model.lm_head.weight[token])) + (
        float(model.lm_head.bias[token]) if config.unembedding_bias else 0.0
    )
    scaled = plain * config.logit_scale
    capped = config.logit_cap * math.tanh(scaled / config.logit_cap)
    return config.logit_scale if scaled == 0 else config.logit_scale * capped / scaled


def _collected(walk: "Walk") -> tuple[list[Contribution], Tensor]:
    """The terms of a walk, and the direction before it."""
    parts = []
    while True:
        try:
            parts.append(next(walk))
        except StopIteration as done:
            return parts, done.value


# Yields terms, and returns the direction before the parts it walked through.
Walk = Generator[Contribution, None, Tensor]


def _norm(config: GPTConfig, norm: nn.Module, x: Tensor, direction: Tensor, kind: str, layer: int | None) -> Walk:
    """Back through a norm, with its scale frozen at the value for ``x`` [C].

    A layer norm is (x - mean) / deviation * weight + bias; an RMS norm subtracts no mean and has no bias.
    """
    if config.norm_bias:
        yield Contribution(kind, layer, None, _dot(norm.get_parameter("bias"), direction))
    turned = direction
    if config.norm_weight:
        turned = norm_scale(config, _exact(norm.get_parameter("weight"))) * direction
    exact = _exact(x)
    if config.norm_kind == "layer":
        exact, turned = exact - exact.mean(), turned - turned.mean()
    return turned / (exact.square().mean() + config.layer_norm_epsilon).sqrt()


def _pre_block(block: Block, layer: LayerRecord, direction: Tensor, number: int) -> Walk:
    """A layer with norms before its parts: the direction passes its residual sums unchanged."""
    yield from _mlp(block, layer, direction, number)
    yield from _attention(block, layer, direction, number)
    return direction


def _post_block(block: Block, layer: LayerRecord, direction: Tensor, number: int) -> Walk:
    """A layer with norms on the stream itself, after each sum."""
    config, summed = block.config, (layer.mlp_in + layer.mlp)[-1]
    direction = yield from _norm(config, block.ln_2, summed, direction, "mlp norm bias", number)
    yield from _mlp(block, layer, direction, number)
    summed = (layer.before + layer.attention)[-1]
    direction = yield from _norm(config, block.ln_1, summed, direction, "attention norm bias", number)
    yield from _attention(block, layer, direction, number)
    return direction


def _added(block: Block, name: str, given: Tensor, direction: Tensor, kind: str, number: int) -> Walk:
    """Through what stands between a sub-layer and its sum: a factor, and a norm where there is one."""
    direction = direction * block.config.residual_scale
    if name not in block.config.block_norms:
        return direction
    norm = block.get_submodule(name)
    return (yield from _norm(block.config, norm, given, direction, kind, number))


def _mlp(block: Block, layer: LayerRecord, direction: Tensor, number: int) -> Iterator[Contribution]:
    down = block.mlp.c_proj
    direction = yield from _added(block, "ln_2_out", layer.down[-1], direction, "mlp norm bias", number)
    if down.bias is not None:
        yield Contribution("mlp bias", number, None, _dot(down.bias, direction))
    yield Contribution("mlp", number, None, _dot(layer.activated[-1], _exact(down.weight).T @ direction))


def _attention(block: Block, layer: LayerRecord, direction: Tensor, number: int) -> Iterator[Contribution]:
    """The heads are concatenated before the output projection: [H, D] with [H, D]."""
    out = block.attn.c_proj
    direction = yield from _added(block, "ln_1_out", layer.projected[-1], direction, "attention norm bias", number)
    if out.bias is not None:
        yield Contribution("attention bias", number, None, _dot(out.bias, direction))
    mixed = _exact(layer.heads[:, -1])
    seen = (_exact(out.weight).T @ direction).reshape(mixed.shape)
    each = (mixed * seen).sum(-1).tolist()
    for head in range(len(each), 0, -1):
        yield Contribution("head", number, head, each[head - 1])


def _dot(part: Tensor, direction: Tensor) -> float:
    return float(_exact(part) @ direction)


def _exact(tensor: Tensor) -> Tensor:
    """In float64 on the CPU: not every device has it."""
    return tensor.cpu().double()
