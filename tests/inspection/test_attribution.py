"""Direct logit attribution: the summands give the logit back, for every family, and each is what it says."""

from typing import Any

import pytest
import torch

from gptcli.inspection.attribution import Attribution, attribute
from gptcli.inspection.record import Record, record
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from tests.checkpoint.zoo import FAMILIES, both, few

IDS = [5, 17, 3, 60, 3, 17, 8, 41, 2, 5]


@pytest.fixture(scope="module", params=few(FAMILIES))
def run(request: pytest.FixtureRequest) -> tuple[GPT, Record, Any]:
    theirs, model = both(request.param)
    with torch.inference_mode():
        logits = theirs(torch.tensor([IDS])).logits[0, -1]
    return model, record(model, IDS), logits


@pytest.mark.slow
@pytest.mark.parametrize("token", [0, 7, 50])
def test_the_summands_are_transformers_logit(run: tuple[GPT, Record, Any], token: int) -> None:
    model, recorded, logits = run
    made = attribute(model, recorded, token, b"x")
    assert made.logit == pytest.approx(float(logits[token]), abs=1e-4)
    assert made.total == pytest.approx(float(logits[token]), abs=1e-3)
    assert made.total == pytest.approx(sum(part.logit for part in made.contributions))
    assert len({(part.kind, part.layer, part.head) for part in made.contributions}) == len(made.contributions)


def test_every_part_is_there_in_order(run: tuple[GPT, Record, Any]) -> None:
    model, recorded, _ = run
    made, config = attribute(model, recorded, 3, b"x"), model.config
    kinds = [part.kind for part in made.contributions]
    assert kinds[0] == "embedding"
    assert ("position" in kinds) == (config.positions in ("learned", "sinusoidal"))
    assert kinds.count("mlp") == config.n_layer
    assert kinds.count("attention bias") == config.n_layer * config.attention_bias
    assert kinds.count("mlp bias") == config.n_layer * config.mlp_bias
    assert ("unembedding bias" in kinds) == config.unembedding_bias
    assert kinds.count("final norm bias") == config.norm_bias * config.final_norm
    inside = config.n_layer if config.norm != "pre" and config.norm_bias else 0
    assert kinds.count("attention norm bias") == kinds.count("mlp norm bias") == inside
    heads = [(part.layer, part.head) for part in made.contributions if part.kind == "head"]
    assert heads == [(layer + 1, head + 1) for layer in range(config.n_layer) for head in range(config.n_head)]
    assert [len(row) for row in made.heads()] == [config.n_head] * config.n_layer


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "gpt2 untied", "gpt_neo", "gptj", "gpt_neox", "opt"])
def test_a_head_is_what_it_writes(name: str) -> None:
    """One head's output, normed by hand with the run's scale, against the unembedding."""
    _, model = both(name)
    recorded, config = record(model, IDS), model.config
    layer, head, token = config.n_layer - 1, 0, 11
    columns = slice(head * config.head_size, (head + 1) * config.head_size)
    projection = model.h[layer].get_submodule("attn.c_proj").weight
    assert isinstance(projection, torch.Tensor)
    written = recorded.layers[layer].heads[head, -1] @ projection[:, columns].T
    deviation = (recorded.stream[-1, -1].var(correction=0) + config.layer_norm_epsilon).sqrt()
    weight = model.ln_f.weight
    assert isinstance(weight, torch.Tensor)
    expected = ((written - written.mean()) / deviation * weight) @ model.lm_head.weight[token]
    made = attribute(model, recorded, token, b"x")
    assert made.heads()[layer][head] == pytest.approx(float(expected), abs=1e-4)


def test_it_says_which_norms_are_frozen() -> None:
    def frozen(**fields: Any) -> str | None:
        config = GPTConfig(vocab_size=9, n_positions=8, n_embd=4, n_layer=1, n_head=2, **fields)
        torch.manual_seed(0)
        model = GPT(config).eval()
        return attribute(model, record(model, [1, 2]), 3, b"x").frozen

    assert frozen() == "the final norm"
    assert frozen(norm="post", final_norm=False) == "every norm"
    assert frozen(final_norm=False) is None


def test_no_layers_at_all() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=9, n_positions=8, n_embd=4, n_layer=0, n_head=2)).eval()
    made: Attribution = attribute(model, record(model, [1, 2]), 3, b"x")
    assert [part.kind for part in made.contributions] == ["embedding", "position", "final norm bias"]
    assert made.total == pytest.approx(made.logit, abs=1e-5)
