"""Every head and MLP taken out in turn, and every place patched: against transformers with hooks of its own."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from gptcli.errors import InputError
from gptcli.inspection.ablation import Ablation, ablate
from gptcli.inspection.attribution import attribute
from gptcli.inspection.interventions import Interventions, located_changes
from gptcli.inspection.patching import Patching, patch
from gptcli.inspection.place_text import parse
from gptcli.inspection.points import capture
from gptcli.inspection.record import record
from gptcli.inspection.variants import Outcome, Trunk
from gptcli.model.gpt import GPT
from tests.checkpoint import zoo
from tests.checkpoint.zoo import FAMILIES, open_folder, reference
from tests.inspection.hooked import CASE_PARAMS, columns, logits, seen

IDS = [5, 17, 3, 60, 3, 17, 8, 41, 2, 5]
OTHER = [5, 17, 3, 44, 3, 17, 9, 41, 2, 5]
# The head that repeats names: with it out, the other name of the two comes.
NAMES = "One day, Sara met Ben. Ben said hello to Sara. Sara said hello to"
CORRUPTED = "One day, Sara met Ben. Ben said hello to Sara. Ben said hello to"


class Numbers:
    """A tokenizer whose texts are ids."""

    name, prefix_ids = "numbers", ()

    def encode(self, text: str, **_: Any) -> list[int]:
        return [int(each) for each in text.split()]

    def token_bytes(self, token: int) -> bytes:
        return b" %d" % token


@dataclass
class Opened:
    """As much of an open checkpoint as the scans use."""

    model: GPT
    name: str = "tiny"
    tokenizer: Numbers = field(default_factory=Numbers)

    @property
    def n_vocab(self) -> int:
        return self.model.config.vocab_size

    def encode_prompt(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)


def text(ids: list[int]) -> str:
    return " ".join(map(str, ids))


@pytest.fixture(scope="module", params=CASE_PARAMS)
def both(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Their model, and ours as it is opened."""
    theirs, model = zoo.both(request.param)
    return theirs, Opened(model)


def replaced(part: slice, by: Tensor | float) -> Any:
    def edit(value: Tensor) -> Tensor:
        value = value.clone()
        value[..., part] = by if isinstance(by, float) else by[..., part]
        return value

    return edit


@pytest.mark.slow
def test_each_part_alone(both: tuple[Any, Any]) -> None:
    """The logit of one token over another without each part."""
    theirs, opened = both
    answer = ablate(opened, text(IDS), token="7", versus="11")

    def measured(*edits: Any) -> float:
        row = logits(theirs, IDS, *edits)[-1]
        return float(row[7] - row[11])

    assert answer.whole == pytest.approx(measured(), abs=1e-4)
    assert answer.complete
    for layer in answer.layers:
        index = layer.layer - 1
        for head, effect in enumerate(layer.heads):
            edit = replaced(columns(theirs, "head", head), 0.0)
            assert effect == pytest.approx(measured() - measured(("head", index, edit)), abs=2e-4)
        assert layer.mlp == pytest.approx(measured() - measured(("mlp", index, replaced(slice(None), 0.0))), abs=2e-4)


def test_other_measures_and_replacements(both: tuple[Any, Any]) -> None:
    theirs, opened = both
    part, layer = columns(theirs, "head", 1), 1

    def loss(*edits: Any) -> float:
        logprobs = logits(theirs, IDS, *edits).log_softmax(-1)[:-1]
        return -float(logprobs.gather(1, torch.tensor(IDS[1:])[:, None]).mean())

    own, elsewhere = seen(theirs, IDS, "head", layer), seen(theirs, OTHER, "head", layer)
    of_loss = ablate(opened, text(IDS), measure="loss", by="mean")
    edit = replaced(part, own.mean(0, keepdim=True).expand_as(own)[None])
    assert of_loss.whole == pytest.approx(loss(), abs=1e-4)
    assert of_loss.layers[layer].heads[1] == pytest.approx(loss(("head", layer, edit)) - loss(), abs=2e-4)

    best = int(logits(theirs, IDS)[-1].argmax())
    of_share = ablate(opened, text(IDS), measure="probability", by="resample", source=text(OTHER))
    assert of_share.token is not None
    assert of_share.token.id == best
    share = [
        float(logits(theirs, IDS, *edits)[-1].softmax(-1)[best])
        for edits in ((), (("head", layer, replaced(part, elsewhere[None])),))
    ]
    assert of_share.whole == pytest.approx(share[0], abs=1e-5)
    assert of_share.layers[layer].heads[1] == pytest.approx(share[0] - share[1], abs=1e-4)


@pytest.mark.slow
def test_patching_is_transformers_with_hooks(both: tuple[Any, Any]) -> None:
    theirs, opened = both
    answer = patch(opened, text(IDS), text(OTHER), token="7", versus="11")

    def measured(ids: list[int], *edits: Any) -> float:
        row = logits(theirs, ids, *edits)[-1]
        return float(row[7] - row[11])

    best, worst = measured(IDS), measured(OTHER)
    assert (answer.clean.value, answer.corrupted.value) == pytest.approx((best, worst), abs=1e-4)
    assert [each.part for each in answer.maps] == ["stream", "attention", "mlp"]
    tolerance = 4e-4 / abs(best - worst)
    for each in answer.maps:
        for layer, row in zip(each.layers, each.values, strict=True):
            kind = {"stream": "layer"}.get(each.part, each.part) if layer else "embedding"
            clean = seen(theirs, IDS, kind, max(layer - 1, 0))
            for position in (0, 3, 5, 6, 9):

                def edit(value: Tensor, position: int = position, clean: Tensor = clean) -> Tensor:
                    value = value.clone()
                    value[:, position] = clean[position]
                    return value

                got = measured(OTHER, (kind, max(layer - 1, 0), edit))
                assert row[position] == pytest.approx((got - worst) / (best - worst), abs=tolerance)
    # All that the last layer gives at the last position is all there is.
    assert answer.maps[0].values[-1][-1] == pytest.approx(1, abs=tolerance)


def test_heads_are_patched_at_all_positions(both: tuple[Any, Any]) -> None:
    theirs, opened = both
    answer = patch(opened, text(IDS), text(OTHER), token="7", heads=True)
    best, worst = (float(logits(theirs, ids)[-1][7]) for ids in (IDS, OTHER))
    (heads,) = answer.maps
    for layer in heads.layers:
        clean = seen(theirs, IDS, "head", layer - 1)
        for head, share in enumerate(heads.values[layer - 1]):
            edit = replaced(columns(theirs, "head", head), clean[None])
            got = float(logits(theirs, OTHER, ("head", layer - 1, edit))[-1][7])
            assert share == pytest.approx((got - worst) / (best - worst), abs=4e-4 / abs(best - worst))


@pytest.mark.slow
def test_few_at_a_time_are_the_same(both: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _, opened = both
    wanted = ablate(opened, text(IDS), token="7"), patch(opened, text(IDS), text(OTHER), token="7")
    monkeypatch.setattr("gptcli.inspection.variants._BYTES", 1)
    got = ablate(opened, text(IDS), token="7"), patch(opened, text(IDS), text(OTHER), token="7")
    for one, other in zip(got[0].layers, wanted[0].layers, strict=True):
        assert [*one.heads, one.mlp] == pytest.approx([*other.heads, other.mlp], abs=1e-5)
    for mine, theirs in zip(got[1].maps, wanted[1].maps, strict=True):
        for row, other_row in zip(mine.values, theirs.values, strict=True):
            assert row == pytest.approx(other_row, abs=1e-4)


def test_frozen_attention_is_that_of_the_whole_run(both: tuple[Any, Any]) -> None:
    """A scan with frozen attention agrees with a run of one intervention with frozen attention."""
    _, opened = both
    model = opened.model
    answer = ablate(opened, text(IDS), token="7", frozen=True)
    changes = tuple(located_changes(parse("1.2").within(model.config), "zero", lambda point: None))
    run = record(model, IDS, Interventions(changes, True, opened.tokenizer.token_bytes))
    with torch.inference_mode():
        logit = float(model.unembed(run.stream[-1][-1])[7])
    assert answer.layers[0].heads[1] == pytest.approx(answer.whole - logit, abs=1e-4)
    loose = ablate(opened, text(IDS), token="7")
    assert loose.layers[0].heads[1] != pytest.approx(answer.layers[0].heads[1], abs=1e-3)


def test_direct_effects_add_up_to_the_logit(tmp_path: Any) -> None:
    """Those of all heads, MLPs, biases and the embedding; and without attention and MLPs the embedding is left."""
    theirs = reference(FAMILIES["gpt2"])
    theirs.save_pretrained(tmp_path)
    _, model = open_folder(tmp_path)
    parts = attribute(model, record(model, IDS), 7, b"")
    assert parts.total == pytest.approx(float(logits(theirs, IDS)[-1][7]), abs=1e-4)
    points = [(kind, layer) for layer in range(model.config.n_layer) for kind in ("attention", "mlp")]
    nothing = [(point, torch.zeros_like) for point in points]
    bare = Trunk(model, IDS).branch(0, nothing, 1)  # type: ignore[arg-type]
    torch.testing.assert_close(bare[0], capture(model, IDS, [("embedding", 0)])["embedding", 0])


class Stop:
    """Presses Ctrl-C once so many layers are done."""

    def __init__(self, layers: int) -> None:
        self.layers = layers

    def __call__(self, done: int, total: int) -> None:
        if done == self.layers:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_there(tales: Any) -> None:
    whole = ablate(tales, NAMES, token="Ben", versus="Sara")
    part = ablate(tales, NAMES, token="Ben", versus="Sara", progress=Stop(2))
    assert (whole.complete, part.complete) == (True, False)
    assert [layer.layer for layer in part.layers] == [5, 6]
    assert part.layers == whole.layers[4:]
    patched = patch(tales, NAMES, CORRUPTED, token="Ben", progress=Stop(2))
    assert not patched.complete
    assert [row[-1] is not None for row in patched.maps[0].values] == [False] * 5 + [True] * 2


@pytest.mark.slow
def test_the_heads_that_repeat_names(tales: Any, tales_reference: Any) -> None:
    """Known without the tool: from the last word, these heads look at the name that is to come."""
    with torch.inference_mode():
        ids = tales.tokenizer.encode(NAMES)
        patterns = tales_reference(torch.tensor([ids]), output_attentions=True).attentions
    names = [index for index, token in enumerate(ids) if tales.tokenizer.token_bytes(token) == b" Ben"]
    looking = {
        (layer + 1, head + 1): float(pattern[0, head, -1, names].sum())
        for layer, pattern in enumerate(patterns)
        for head in range(4)
    }
    answer: Ablation = ablate(tales, NAMES, token="Ben", versus="Sara")
    found = [(each.layer, each.head) for each in answer.strongest(30) if each.head is not None][:3]
    assert found == [(3, 3), (5, 2), (6, 1)]
    assert {max(looking, key=lambda head: looking[head])} <= set(found)
    again: Patching = patch(tales, NAMES, CORRUPTED, token="Ben", versus="Sara", heads=True)
    shares = {
        (layer, head): share
        for layer, row in zip(again.maps[0].layers, again.maps[0].values, strict=True)
        for head, share in enumerate(row, start=1)
    }
    assert set(sorted(shares, key=lambda head: -(shares[head] or 0))[:3]) == set(found)


def test_what_cannot_be_measured(tales: Any) -> None:
    wrong: Any
    for wrong, message in (
        ({"measure": "loss", "token": "Ben"}, "leave out --token"),
        ({"token": "Ben", "versus": "Ben"}, "the same token"),
        ({"token": ""}, "name a word"),
    ):
        with pytest.raises(InputError, match=message):
            ablate(tales, "Sara met", **wrong)
    with pytest.raises(InputError, match="two tokens or more"):
        ablate(tales, "A", measure="loss")
    with pytest.raises(InputError, match="the same: change a word"):
        patch(tales, "Sara met", "Sara met")
    with pytest.raises(InputError, match="9 and 8 tokens") as caught:
        patch(tales, "Once upon a time there was a little girl", "Once upon a time there was a girl")
    shown = str(caught.value).splitlines()
    assert [line.split() for line in shown[1:]] == [
        ["clean", "…", "·there", "·was", "·a", "·little", "·girl"],
        ["corrupted", "…", "·there", "·was", "·a", "·girl", "–"],
    ]


def test_an_outcome_of_several_runs() -> None:
    found = Outcome("logit", 1, 2, 3)
    model: Any = type("M", (), {"unembed": staticmethod(lambda stream: stream)})
    stream = torch.tensor([[[0.0, 3.0, 1.0, 9.0]], [[0.0, 1.0, 1.5, 9.0]]])
    assert found.of(model, stream, [1]) == [2.0, -0.5]


def test_ctrl_c_before_anything_is_done_shows_nothing(tales: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trunk, "branch", interrupted)
    for scan in (lambda: ablate(tales, NAMES), lambda: patch(tales, NAMES, CORRUPTED)):
        with pytest.raises(KeyboardInterrupt):
            scan()


@pytest.mark.slow
def test_the_loss_of_a_text_of_several_pieces(tales: Any, tales_reference: Any) -> None:
    prompt = "One day Tom and Lily went to the park. " * 9
    ids = tales.encode_prompt(prompt)
    assert len(ids) > 70
    with torch.inference_mode():
        logprobs = tales_reference(torch.tensor([ids])).logits[0].double().log_softmax(-1)[:-1]
    wanted = -float(logprobs.gather(1, torch.tensor(ids[1:])[:, None]).mean())
    outcome, run = Outcome("loss", 0, None, tales.n_vocab), Trunk(tales.model, ids)
    with torch.inference_mode():
        assert outcome.of(tales.model, run.stream[-1][None], ids) == pytest.approx([wanted], abs=1e-4)
