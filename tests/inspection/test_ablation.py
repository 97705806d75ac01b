"""Every head and MLP taken out in turn, and every place patched: against transformers with hooks of its own."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gptcli.checkpoint.weights.native_loader import load_native
from gptcli.checkpoint.weights.placement import Placement
from gptcli.errors import InputError
from gptcli.inspection.ablation import Ablation, ablate
from gptcli.inspection.attribution import attribute
from gptcli.inspection.interventions import Interventions, located_changes
from gptcli.inspection.patching import Patching, patch
from gptcli.inspection.place_text import parse
from gptcli.inspection.points import capture
from gptcli.inspection.record import record
from gptcli.inspection.variants import Edit, Outcome, Runs
from gptcli.inspection.variants_native import NativeRuns, NativeTrunk
from gptcli.inspection.variants_torch import TorchRuns, TorchTrunk
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.model.native import available
from gptcli.model.native.engine import NativeEngine
from tests.checkpoint import zoo
from tests.checkpoint.zoo import FAMILIES, open_folder, reference, understand
from tests.inspection.hooked import CASE_PARAMS, columns, logits, seen
from tests.tales import HEADS, LAYERS

IDS = [5, 17, 3, 60, 3, 17, 8, 41, 2, 5]
OTHER = [5, 17, 3, 44, 3, 17, 9, 41, 2, 5]
# A name that heads repeat: with them out, the other name of the two comes.
NAMES = "One day, Sara met Ben. Ben said hello to Sara. Sara said hello to"
CORRUPTED = "One day, Sara met Ben. Ben said hello to Sara. Ben said hello to"
# Of the bundled model, layer and head: those that bring the name back in `patch(NAMES, CORRUPTED, token="Ben", ...)`.
REPEATING = {(4, 3), (9, 2), (10, 1)}


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
    native: NativeEngine | None
    name: str = "tiny"
    tokenizer: Numbers = field(default_factory=Numbers)

    @property
    def config(self) -> GPTConfig:
        return self.model.config

    @property
    def n_vocab(self) -> int:
        return self.model.config.vocab_size

    def encode_prompt(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)


def text(ids: list[int]) -> str:
    return " ".join(map(str, ids))


ENGINES = [pytest.param("C", marks=pytest.mark.skipif(not available(), reason="no engine in C here")), "PyTorch"]


@pytest.fixture(scope="module", params=CASE_PARAMS)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=ENGINES)
def both(request: pytest.FixtureRequest, case: str) -> tuple[Any, Any]:
    """Their model, and ours as it is opened."""
    theirs, model = zoo.both(case)
    return theirs, Opened(model, in_c(case) if request.param == "C" else None)


def in_c(name: str) -> NativeEngine:
    """A case of the zoo in the engine in C."""
    return load_native(*understand(zoo.saved(name)[1]), Placement("cpu", "float32"))


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
    monkeypatch.setattr("gptcli.inspection.variants_torch.BYTES", 1)
    monkeypatch.setattr("gptcli.inspection.variants_native.BYTES", 1)
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
    bare = TorchTrunk(model, IDS).branch(0, [Edit(0, point, None) for point in points], 1)  # type: ignore[arg-type]
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
    assert [layer.layer for layer in part.layers] == [LAYERS - 1, LAYERS]
    assert part.layers == whole.layers[-2:]
    patched = patch(tales, NAMES, CORRUPTED, token="Ben", progress=Stop(2))
    assert not patched.complete
    done = [row[-1] is not None for row in patched.maps[0].values]  # the embedding, then each layer
    assert done == [False] * (1 + LAYERS - 2) + [True] * 2


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
        for head in range(HEADS)
    }
    answer: Ablation = ablate(tales, NAMES, token="Ben", versus="Sara")
    needed = {(each.layer, each.head): each.effect for each in answer.strongest(50) if each.head is not None}
    assert len(needed) == LAYERS * HEADS
    assert set(sorted(needed, key=lambda head: -needed[head])[:4]) >= REPEATING
    assert max(looking, key=lambda head: looking[head]) in REPEATING
    again: Patching = patch(tales, NAMES, CORRUPTED, token="Ben", versus="Sara", heads=True)
    shares = {
        (layer, head): share
        for layer, row in zip(again.maps[0].layers, again.maps[0].values, strict=True)
        for head, share in enumerate(row, start=1)
    }
    assert set(sorted(shares, key=lambda head: -(shares[head] or 0))[:3]) == REPEATING


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
    trunk: Any = type("T", (), {"logits": staticmethod(lambda stream: stream)})
    stream = np.array([[[0.0, 3.0, 1.0, 9.0]], [[0.0, 1.0, 1.5, 9.0]]])
    assert found.of(trunk, stream) == [2.0, -0.5]


def test_ctrl_c_before_anything_is_done_shows_nothing(tales: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    for trunk in (TorchTrunk, NativeTrunk):
        monkeypatch.setattr(trunk, "branch", interrupted)
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
    outcome, run = Outcome("loss", 0, None, tales.n_vocab), TorchTrunk(tales.model, ids)
    assert outcome.of(run, run.last[None]) == pytest.approx([wanted], abs=1e-4)


def test_nothing_changed_is_the_same_to_the_bit(both: tuple[Any, Any]) -> None:
    """A run without changes, whatever is changed beside it; and what stands there in place of itself."""
    opened = both[1]
    layers = range(opened.config.n_layer)
    kinds: Any = ("head", "attention", "neuron", "mlp", "layer")
    points = [(kind, layer) for layer in layers for kind in kinds]
    runs: Runs = TorchRuns(opened.model) if opened.native is None else NativeRuns(opened.native)
    trunk = runs.trunk(IDS, points)
    for layer in (*layers, len(layers)):
        itself = [Edit(2, point, trunk.seen[point]) for point in points if point[1] >= layer and point[0] != "neuron"]
        out = [Edit(1, point, None) for point in points if point[1] >= layer]
        untouched, changed, same = map(np.asarray, trunk.branch(layer, [*out, *itself], 3))
        # In a batch of the same size with changes at the same points: others may be added up in another order.
        others = [Edit(1, point, trunk.seen[point]) for point in points if point[1] >= layer]
        alone = np.asarray(trunk.branch(layer, [*others, *itself], 3)[0])
        assert np.array_equal(untouched, alone)
        assert np.abs(same - np.asarray(trunk.last)).max() < 1e-4
        assert np.array_equal(changed, untouched) == (layer == len(layers))


@pytest.mark.skipif(not available(), reason="no engine in C here")
@pytest.mark.parametrize("name", zoo.each(FAMILIES))
def test_the_engine_in_c_changes_what_pytorch_changes(name: str) -> None:
    """Every kind of point, in one layer and the next, by zero and by other values, with attention frozen and not."""
    native, model = NativeRuns(in_c(name)), zoo.both(name)[1]
    theirs, last = TorchRuns(model), model.config.n_layer - 1
    kinds: Any = ("head", "attention", "neuron", "mlp", "layer")
    points = [(kind, last) for kind in kinds] + [("embedding", 0)]
    for frozen in (False, True):
        ours = native.trunk(IDS, points, frozen=frozen), native.trunk(OTHER, points), native.means(OTHER * 20, points)
        wanted = theirs.trunk(IDS, points, frozen=frozen), theirs.trunk(OTHER, points), theirs.means(OTHER * 20, points)
        for point in points:
            for mine, other in zip(ours[:2], wanted[:2], strict=True):
                close(mine.seen[point], other.seen[point])
            close(ours[2][point], wanted[2][point])

        def edits(from_run: Any, means: Any) -> list[Edit]:
            made = [Edit(row, point, None) for row, point in enumerate(points)]
            made += [Edit(row + 6, point, from_run.seen[point]) for row, point in enumerate(points)]
            made += [Edit(row + 12, point, means[point][None]) for row, point in enumerate(points)]
            made += [Edit(row + 18, point, from_run.seen[point][5], position=5) for row, point in enumerate(points)]
            return [
                *made,
                Edit(24, ("head", last), from_run.seen["head", last][:, 0], 0),
                Edit(24, ("mlp", last), None),
            ]

        close(ours[0].branch(0, edits(*ours[1:]), 25), wanted[0].branch(0, edits(*wanted[1:]), 25))


def close(ours: Any, theirs: Any) -> None:
    wanted = np.asarray(theirs)
    largest = np.maximum(np.abs(wanted).max(axis=-1, keepdims=True), 1)
    assert (np.abs(ours - wanted) / largest).max() < 1e-4
