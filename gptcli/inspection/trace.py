"""A run, step by step, with a few numbers of each step at the last token."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.counting.steps import OF_POSITIONS, TraceStep, walk
from gptcli.counting.tally import tally
from gptcli.counting.tracing import Trace
from gptcli.inspection.record import LayerRecord, Record, record
from gptcli.inspection.stages import finite
from gptcli.model.attention import Attention, repeat_heads
from gptcli.model.gpt import GPT
from gptcli.probability.distribution import Guess
from gptcli.tokenizer.token import tokens_of

# Numbers of each step.
_FEW = 4


def trace(checkpoint: OpenCheckpoint, prompt: str, *, layer: int | None = None, head: int | None = None) -> Trace:
    """Run a model over a prompt and follow the last token through it.

    Args:
        checkpoint: the model and its tokenizer.
        prompt: the text.
        layer: the layer to open, from 1; None folds all.
        head: the head to open in it, from 1. By default a step with heads has the numbers of the first.

    Returns:
        The steps, each with the first numbers of the last token's row; of scores, masks and patterns the last numbers,
        which are for the nearest tokens.

    Raises:
        InputError: the prompt does not fit into the context, or there is no such layer or head.
    """
    config, model = checkpoint.config, checkpoint.model
    ids = checkpoint.encode_prompt(prompt)
    steps = walk(config, min(len(ids), config.n_positions), layer, head)
    run = record(model, ids)
    outside = _outside(model, run, checkpoint.n_vocab)
    token = int(outside["probabilities"].argmax())
    told = [replace(step, numbers=_few(_data(step, run, outside, model, head or 1), step)) for step in steps]
    return Trace(
        model=checkpoint.name,
        config=config,
        parameters=tally(config).parameters,
        n_tokens=len(ids),
        steps=told,
        tokens=tokens_of(checkpoint.tokenizer, ids),
        next=Guess(token, checkpoint.tokenizer.token_bytes(token), float(outside["probabilities"][token])),
    )


def _few(row: Tensor | None, step: TraceStep) -> tuple[float, ...]:
    if row is None:
        return ()
    few = row[-_FEW:] if step.name in OF_POSITIONS else row[:_FEW]
    return tuple(few.tolist())


@torch.inference_mode()
def _outside(model: GPT, run: Record, n_vocab: int) -> dict[str, Tensor]:
    """The last token's row after each step outside the layers: step -> numbers."""
    config, end = model.config, (run.layers[-1].after if run.layers else run.embedded)[-1]
    word = model.wte.weight[run.ids[-1]]
    normed = model.ln_f(end)
    logits = model.unembed(end)
    finite(logits[:n_vocab])
    place, token = torch.tensor([len(run.ids) - 1], device=end.device), torch.tensor(run.ids[-1:], device=end.device)
    scaled = model.embed_tokens(token)
    rows = {"tokens": torch.tensor(run.ids), "token embedding": word, "scaled embedding": scaled[0]}
    rows |= {"+ position": model.add_positions(scaled, place)[0], "embedding norm": run.embedded[-1]}
    if config.embedding_width != config.n_embd:
        rows |= {"projection in": model.project_in(word), "projection out": model.project_out(normed)}
    probabilities = logits[:n_vocab].float().softmax(-1)
    return rows | {"final norm": normed, "unembedding": logits, "probabilities": probabilities}


_Reader = Callable[[LayerRecord, GPT, int], Tensor]
# TraceStep of a layer -> the last token's row after it. The number is the head, from 0.
_INSIDE: dict[str, _Reader] = {
    "layer": lambda seen, model, head: seen.after[-1],
    "norm 1": lambda seen, model, head: (seen.mlp_in if model.config.post_norm else seen.normed)[-1],
    "value": lambda seen, model, head: seen.v[head, -1],
    "scores": lambda seen, model, head: seen.compared[head, -1],
    "capped": lambda seen, model, head: seen.capped[head, -1],
    "+ slope": lambda seen, model, head: seen.sloped[head, -1],
    "mask": lambda seen, model, head: seen.scores[head, -1],
    "softmax": lambda seen, model, head: seen.pattern[head, -1],
    "weighted values": lambda seen, model, head: seen.heads[head, -1],
    "output": lambda seen, model, head: seen.projected[-1],
    "norm after attention": lambda seen, model, head: seen.attention[-1] / model.config.residual_scale,
    "+ residual 1": lambda seen, model, head: (seen.before + seen.attention)[-1],
    "up": lambda seen, model, head: seen.up[-1],
    "gated": lambda seen, model, head: seen.activated[-1],
    "down": lambda seen, model, head: seen.down[-1],
    "norm after MLP": lambda seen, model, head: seen.mlp[-1] / model.config.residual_scale,
    "+ residual": lambda seen, model, head: seen.after[-1],
    "+ residual 2": lambda seen, model, head: (seen.mlp_in + seen.mlp if model.config.post_norm else seen.after)[-1],
    "norm 2": lambda seen, model, head: (seen.after if model.config.post_norm else seen.mlp_in)[-1],
}


def _data(step: TraceStep, run: Record, outside: dict[str, Tensor], model: GPT, head: int) -> Tensor | None:
    """The last token's row after a step; None if there is no single row."""
    if step.layer is None:
        return outside[step.name]
    seen, index = run.layers[step.layer - 1], head - 1
    if step.name in ("query", "key", "query norm", "key norm"):
        return _before_rotation(step, seen, model, index)
    if step.name in ("gate", "activation"):
        return _gate(step, seen, model)
    if step.name == "rotated":
        return seen.q[index, -1]
    return None if step.name == "other heads" else _INSIDE[step.name](seen, model, index)


@torch.inference_mode()
def _before_rotation(step: TraceStep, seen: LayerRecord, model: GPT, head: int) -> Tensor:
    """Queries and keys as they come out of their matrices, and of their norms; the run wrote them down rotated."""
    assert step.layer is not None
    attention = model.h[step.layer - 1].get_submodule("attn")
    assert isinstance(attention, Attention)
    row = seen.normed[-1:].unsqueeze(0)
    if step.name.endswith("norm"):
        q, k, _ = attention.project(row)  # [1, H or K, 1, D]
    else:
        q, k = map(attention.by_head, attention.multiply(row)[:2])
    return repeat_heads(q if step.name.startswith("query") else k, model.config.n_head)[0, head, 0]


@torch.inference_mode()
def _gate(step: TraceStep, seen: LayerRecord, model: GPT) -> Tensor:
    """An MLP's gate, or its activation; without a gate the recorded activation."""
    assert step.layer is not None
    if seen.gate is None:
        return seen.activated[-1]
    activation = model.h[step.layer - 1].get_submodule("mlp").activation
    row: Tensor = seen.gate[-1] if step.name == "gate" else activation(seen.gate[-1])  # type: ignore[operator]
    return row
