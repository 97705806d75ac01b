"""The numbers of a traced run: shapes and values of every family's steps, against the run itself and transformers."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gptcli.counting.steps import TraceStep, walk
from gptcli.counting.tally import tally
from gptcli.inspection import trace as tracing
from gptcli.inspection.record import record
from gptcli.model.gpt import GPT
from tests.checkpoint.zoo import FAMILIES, both, eager, few

IDS = [5, 17, 3, 60, 3, 17, 8, 41, 2, 5]


class Ids:
    """A tokenizer whose tokens are numbers: enough for a model without a vocabulary."""

    name, eos_id, prefix_ids = "ids", None, ()

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    def token_bytes(self, token: int) -> bytes:
        return str(token).encode()


def traced(model: GPT, layer: int | None = None, head: int | None = None) -> Any:
    checkpoint: Any = SimpleNamespace(
        name="zoo",
        model=model,
        tokenizer=Ids(),
        n_vocab=model.config.vocab_size,
        config=model.config,
        encode_prompt=Ids().encode,
    )
    return tracing.trace(checkpoint, " ".join(map(str, IDS)), layer=layer, head=head)


@pytest.fixture(scope="module", params=few(FAMILIES))
def pair(request: pytest.FixtureRequest) -> tuple[GPT, Any]:
    theirs, model = both(request.param)
    with torch.inference_mode():
        return model, eager(theirs)(torch.tensor([IDS]), output_attentions=True, output_hidden_states=True)


def numbers(steps: list[TraceStep], name: str) -> tuple[float, ...]:
    return next(step.numbers for step in steps if step.name == name)


@pytest.mark.slow
def test_counts_sum_to_the_loaded_model(pair: tuple[GPT, Any]) -> None:
    model, _ = pair
    for layer, head in ((None, None), (1, None), (model.config.n_layer, 1)):
        got = traced(model, layer, head)
        total = sum(weight.numel() for weight in model.parameters())
        assert sum(step.parameters for step in got.steps) == got.parameters == tally(model.config).parameters == total


def test_blocks_and_odds_are_transformers(pair: tuple[GPT, Any]) -> None:
    model, said = pair
    got = traced(model)
    for step in got.steps:
        if step.name == "layer" and step.layer is not None and step.layer < model.config.n_layer:
            assert step.numbers == pytest.approx(said.hidden_states[step.layer][0, -1, :4].tolist(), abs=1e-4)
    probabilities = said.logits[0, -1].softmax(-1)
    assert numbers(got.steps, "unembedding") == pytest.approx(said.logits[0, -1, :4].tolist(), abs=1e-4)
    assert numbers(got.steps, "probabilities") == pytest.approx(probabilities[:4].tolist(), abs=1e-5)
    assert got.next is not None
    assert got.next.token == str(int(probabilities.argmax())).encode()
    assert got.next.probability == pytest.approx(float(probabilities.max()), abs=1e-5)


def test_an_opened_head_is_transformers(pair: tuple[GPT, Any]) -> None:
    model, said = pair
    layer, head = model.config.n_layer, model.config.n_head
    steps = traced(model, layer, head).steps
    assert numbers(steps, "softmax") == pytest.approx(
        said.attentions[layer - 1][0, head - 1, -1, -4:].tolist(), abs=1e-5
    )
    seen, before = numbers(steps, "mask"), steps[[step.name for step in steps].index("mask") - 1]
    for score, masked in zip(before.numbers, seen, strict=True):
        assert masked in (score, -torch.inf) or masked == pytest.approx(score, abs=1e-5)


def test_every_step_has_as_many_numbers_as_its_row(pair: tuple[GPT, Any]) -> None:
    model, _ = pair
    for step in traced(model, 1).steps:
        assert len(step.numbers) == min(4, step.shape[-1]), step.name
    (beside,) = [step for step in traced(model, 1, 1).steps if step.name == "other heads"] or [None]
    assert beside is None or beside.numbers == ()


def test_sums_are_sums_and_norms_are_norms(pair: tuple[GPT, Any]) -> None:
    """By hand from the numbers of the steps before: residuals add, and the activation is applied to what came up."""
    model, _ = pair
    steps, run = traced(model, 1).steps, record(model, IDS).layers[0]
    before, named, gated = run.before[-1, :4], {step.name for step in steps}, model.config.gated
    attention, mlp = (
        torch.tensor(numbers(steps, norm if norm in named else plain)) * model.config.residual_scale
        for norm, plain in (("norm after attention", "output"), ("norm after MLP", "down"))
    )
    if model.config.parallel_residual:
        expected = before + attention + mlp
        assert numbers(steps, "+ residual") == pytest.approx(expected.tolist(), abs=1e-4)
    else:
        middle = before + attention
        assert numbers(steps, "+ residual 1") == pytest.approx(middle.tolist(), abs=1e-4)
        start = torch.tensor(numbers(steps, "norm 1")) if model.config.post_norm else middle
        after = start + mlp
        assert numbers(steps, "+ residual 2") == pytest.approx(after.tolist(), abs=1e-4)
    up = torch.tensor(numbers(steps, "up"))
    activated = model.h[0].mlp.activation(  # type: ignore[union-attr, operator]
        torch.tensor(numbers(steps, "gate")) if gated else up
    )
    assert numbers(steps, "activation") == pytest.approx(activated.tolist(), abs=1e-5)
    if gated:
        assert numbers(steps, "gated") == pytest.approx((activated * up).tolist(), abs=1e-4)


def test_queries_are_shown_before_they_are_rotated(pair: tuple[GPT, Any]) -> None:
    model, _ = pair
    steps, run = traced(model, 1, 1).steps, record(model, IDS).layers[0]
    rows = model.h[0].attn.c_attn(run.normed[-1])  # type: ignore[union-attr, operator]
    clip = model.config.qkv_clip or torch.inf
    q, k, v = rows.clamp(-clip, clip).split(model.config.qkv_widths)
    for name, row in (("query", q), ("key", k), ("value", v)):
        assert numbers(steps, name) == pytest.approx(row[:4].tolist(), abs=1e-4)
    if model.config.rotary_table(0) is not None:
        assert numbers(steps, "rotated") == pytest.approx(run.q[0, -1, :4].tolist(), abs=1e-6)
        assert numbers(steps, "rotated") != pytest.approx(q[:4].tolist(), abs=1e-3)


def test_names_and_shapes_are_those_of_the_configuration(pair: tuple[GPT, Any]) -> None:
    model, _ = pair
    bare = walk(model.config, len(IDS), 1)
    assert [(step.name, step.shape) for step in traced(model, 1).steps] == [(step.name, step.shape) for step in bare]
