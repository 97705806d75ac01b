"""What the hooks write down, against transformers' attentions and hidden states, for every family."""

from typing import Any

import pytest
import torch

from gptcli.inspection.record import Record, record
from gptcli.model.gpt import GPT
from tests.checkpoint.zoo import FAMILIES, both, eager, few

IDS = [5, 17, 3, 60, 3, 17, 8, 41, 2, 5]


@pytest.fixture(scope="module", params=few(FAMILIES))
def run(request: pytest.FixtureRequest) -> tuple[GPT, Record, Any]:
    theirs, model = both(request.param)
    with torch.inference_mode():
        said = eager(theirs)(torch.tensor([IDS]), output_attentions=True, output_hidden_states=True)
    return model, record(model, IDS), said


def test_patterns_are_transformers_attentions(run: tuple[GPT, Record, Any]) -> None:
    _, recorded, said = run
    for layer, theirs in zip(recorded.layers, said.attentions, strict=True):
        torch.testing.assert_close(layer.pattern, theirs[0], atol=1e-5, rtol=0)


def test_the_stream_is_transformers_hidden_states(run: tuple[GPT, Record, Any]) -> None:
    model, recorded, said = run
    count = len(said.hidden_states) - 1  # their last one has been through the final norm
    for ours, theirs in zip(recorded.stream[:count], said.hidden_states[:count], strict=True):
        torch.testing.assert_close(ours, theirs[0], atol=5e-5, rtol=1e-5)
    with torch.inference_mode():
        torch.testing.assert_close(model.unembed(recorded.stream[-1]), said.logits[0], atol=5e-5, rtol=1e-5)


def test_the_parts_add_up(run: tuple[GPT, Record, Any]) -> None:
    model, recorded, _ = run
    for index, layer in enumerate(recorded.layers):
        assert layer.pattern.sum(-1).sub(1).abs().max() < 1e-6
        assert layer.pattern.triu(1).max() == 0
        torch.testing.assert_close(layer.pattern @ layer.v, layer.heads, atol=1e-5, rtol=1e-5)
        merged = layer.heads.transpose(0, 1).flatten(1)
        attn, mlp = model.h[index].get_submodule("attn.c_proj"), model.h[index].get_submodule("mlp.c_proj")
        torch.testing.assert_close(attn(merged), layer.projected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(mlp(layer.activated), layer.down, atol=1e-5, rtol=1e-5)
        if not model.config.post_norm:
            added = layer.before + layer.attention + layer.mlp
            torch.testing.assert_close(added, layer.after, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_no_hook_stays(tales: Any) -> None:
    record(tales.model, [1, 2, 3])
    assert not any(module._forward_hooks for module in tales.model.modules())
