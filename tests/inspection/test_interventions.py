"""Interventions, against transformers' models with hooks of their own, and what has to hold for any of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gptcli.errors import InputError
from gptcli.inspection.attribution import attribute
from gptcli.inspection.changed_engine import ChangedEngine
from gptcli.inspection.changed_native import ChangedNativeEngine
from gptcli.inspection.changed_torch import ChangedTorchEngine
from gptcli.inspection.hooking import means
from gptcli.inspection.interventions import Interventions, located_changes
from gptcli.inspection.place_text import parse
from gptcli.inspection.places import Point
from gptcli.inspection.points import capture
from gptcli.inspection.record import record
from gptcli.model.gpt import GPT
from gptcli.model.native.library import library
from gptcli.model.native.weights import why_not
from gptcli.model.torch_engine import TorchEngine
from tests.checkpoint import zoo
from tests.checkpoint.zoo import FAMILIES, open_folder, reference
from tests.inspection.hooked import CASE_PARAMS, columns, logits, n_heads, seen
from tests.native.test_engine import in_c

IDS = [5, 17, 3, 60, 3, 17, 8, 41, 2, 5]
OTHER = [9, 2, 33, 17, 5, 60, 1, 4, 41, 7]
# Kind, layer from 0, head or neuron from 0: and the same as typed.
PLACES = [
    ("head", 1, 2, "2.3"),
    ("neuron", 0, 30, "neuron:1.31"),
    ("attention", 0, None, "attention:1"),
    ("mlp", 1, None, "mlp:2"),
    ("layer", 0, None, "layer:1"),
    ("embedding", 0, None, "embedding"),
]
Both = tuple[Any, GPT]


@pytest.fixture(scope="module", params=CASE_PARAMS)
def both(request: pytest.FixtureRequest) -> Both:
    """Their model and ours, of the same weights."""
    return zoo.both(request.param)


def interventions(
    model: GPT, how: Any, *places: str, values: dict[Point, Tensor] | None = None, frozen: bool = False
) -> Interventions:
    found = {point: value.numpy() for point, value in (values or {}).items()}
    changes = [
        change for place in places for change in located_changes(parse(place).within(model.config), how, found.get)
    ]
    return Interventions(tuple(changes), frozen, lambda token: b" %d" % token)


def engines(model: GPT, changes: Interventions) -> list[ChangedEngine[Any]]:
    """The changed model in PyTorch, and in C where that can run it."""
    made: list[ChangedEngine[Any]] = [ChangedTorchEngine(model, changes)]
    if library() is not None and why_not(model.config) is None and not changes.frozen:
        made.append(ChangedNativeEngine(in_c(model), changes))
    return made


@torch.inference_mode()
def ours(model: GPT, ids: Sequence[int], changes: Interventions | None) -> Tensor:
    """Our logits [T, V]."""
    return model.unembed(record(model, ids, changes).stream[-1])


def added(theirs: Any, kind: str) -> float:
    """What their blocks multiply with behind the point that we change."""
    return getattr(theirs.config, "residual_multiplier", 1.0) if kind in ("attention", "mlp") else 1.0


def close(mine: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(mine, wanted, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[0])
def test_a_part_that_is_taken_out(both: Both, place: tuple[str, int, int | None, str]) -> None:
    theirs, model = both
    kind, layer, member, text = place
    part = columns(theirs, kind, member)

    def zero(value: Tensor) -> Tensor:
        value = value.clone()
        value[..., part] = 0
        return value

    wanted = logits(theirs, IDS, (kind, layer, zero))
    assert (wanted - logits(theirs, IDS)).abs().max() > 1e-3
    close(ours(model, IDS, interventions(model, "zero", text)), wanted)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[0])
def test_a_part_that_is_replaced_by_its_mean_or_by_another_text_at_some_positions(
    both: Both, place: tuple[str, int, int | None, str]
) -> None:
    theirs, model = both
    kind, layer, member, text = place
    part = columns(theirs, kind, member)
    where = [2, 4]  # both are token 3, so that a word names them
    elsewhere = seen(theirs, OTHER, kind, layer)

    def mean(value: Tensor) -> Tensor:
        value = value.clone()
        value[:, where, part] = value[:, :, part].mean(1, keepdim=True)
        return value

    def taken(value: Tensor) -> Tensor:
        value = value.clone()
        value[:, where, part] = elsewhere[where, part]
        return value

    for edit, how in ((mean, "mean"), (taken, "replace")):
        wanted = logits(theirs, IDS, (kind, layer, edit))
        point: Point = (kind, layer)  # type: ignore[assignment]
        values = capture(model, OTHER, [point]) if how == "replace" else {}
        close(ours(model, IDS, interventions(model, how, f"{text}@·3", values=values)), wanted)
        close(ours(model, IDS, interventions(model, how, f"{text}@3,5", values=values)), wanted)


@pytest.mark.parametrize("kind", ["layer", "attention", "mlp", "embedding"])
def test_a_direction_that_is_added(both: Both, kind: str) -> None:
    theirs, model = both
    vector = torch.randn(model.config.n_embd, generator=torch.Generator().manual_seed(1))
    factor = added(theirs, kind)
    wanted = logits(theirs, IDS, (kind, 0, lambda value: value + vector / factor))
    text = kind if kind == "embedding" else f"{kind}:1"
    changes = interventions(model, "add", text, values={(kind, 0): vector})  # type: ignore[dict-item]
    close(ours(model, IDS, changes), wanted)


def test_several_changes_at_once(both: Both) -> None:
    theirs, model = both
    part = columns(theirs, "head", 0)

    def zero(value: Tensor) -> Tensor:
        value = value.clone()
        value[..., part] = 0
        return value

    wanted = logits(theirs, IDS, ("head", 0, zero), ("head", 1, zero), ("mlp", 0, torch.zeros_like))
    close(ours(model, IDS, interventions(model, "zero", "1-2.1", "mlp:1")), wanted)


@pytest.mark.parametrize("frozen", [False, True])
def test_at_every_step_of_a_batch(both: Both, frozen: bool) -> None:
    """Prefill, step, select, extend, rewind: always what one run over the whole text gives."""
    _, model = both
    changes = interventions(model, "zero", "1.2", "mlp:2@2", "neuron:1.3@·3", frozen=frozen)

    def whole(prompt: list[int], more: list[int]) -> np.ndarray[Any, Any]:
        fixed = changes if changes.ids else Interventions(changes.changes, frozen, changes.token_bytes, tuple(prompt))
        return ours(model, prompt + more, fixed)[-1].numpy()

    first, second = IDS, [3, 3, 8, 3]
    for engine in engines(model, changes):
        said = engine.prefill([first, second], 30)
        np.testing.assert_allclose(said, [whole(first, []), whole(second, [])], atol=1e-4)
        said = engine.step([3, 9])
        np.testing.assert_allclose(said, [whole(first, [3]), whole(second, [9])], atol=1e-4)
        engine.select([1, 0, 1])
        said, wanted = engine.step([7, 1, 2]), [whole(second, [9, 7]), whole(first, [3, 1]), whole(second, [9, 2])]
        np.testing.assert_allclose(said, wanted, atol=1e-4)
        engine.select([1])
        np.testing.assert_allclose(engine.extend([4, 3])[-1], whole(first, [3, 1, 4, 3]), atol=1e-4)
        engine.rewind(3)
        np.testing.assert_allclose(engine.extend([6])[-1], whole(first, [3, 6]), atol=1e-4)
        again = engine.new_session()
        np.testing.assert_allclose(again.prefill([first], 30)[0], whole(first, []), atol=1e-4)


@pytest.mark.parametrize("how", ["zero", "mean", "mean of another", "replace", "add"])
def test_every_change_is_the_same_in_both_engines(both: Both, how: str) -> None:
    """Of two texts at once, some tokens, and steps behind them; each also as one run of the PyTorch model has it."""
    _, model = both
    texts = [IDS, [3, 3, 8, 3]]
    for kind, layer, _, place in PLACES:
        point: Point = (kind, layer)  # type: ignore[assignment]
        if how == "add" and kind in ("head", "neuron"):
            continue
        values = {}
        if how == "replace":
            values = capture(model, OTHER[:3], [point])
        elif how == "mean of another":
            values = means(model, OTHER, [point])
        elif how == "add":
            values = {point: torch.linspace(-1, 1, model.config.n_embd)}
        kept = how.split()[0]
        for where in ("", "@·3", "@2-3"):
            changes = interventions(model, kept, place + where, values=values)
            for engine in engines(model, changes):
                said = engine.read_texts(texts, 30)
                last = engine.step([7, 3])
                blocks: list[Any] = []
                engine.read_by_blocks(texts[0], lambda logits, blocks=blocks: blocks.append(logits.copy()), 2)  # type: ignore[misc]
                at = 0
                for index, text in enumerate(texts):
                    fixed = replace(changes, ids=tuple(text))
                    wanted = ours(model, [*text, [7, 3][index]], fixed).numpy()
                    np.testing.assert_allclose(said[at : at + len(text)], wanted[:-1], atol=2e-4)
                    np.testing.assert_allclose(last[index], wanted[-1], atol=2e-4)
                    at += len(text)
                np.testing.assert_allclose(np.concatenate(blocks), said[2 : len(texts[0])], atol=2e-4)


def test_a_step_is_transformers_own(both: Both) -> None:
    theirs, model = both
    part = columns(theirs, "head", 1)

    def zero(value: Tensor) -> Tensor:
        value = value.clone()
        value[..., part] = 0
        return value

    for engine in engines(model, interventions(model, "zero", "1.2")):
        engine.prefill([IDS], 20)
        for count, token in enumerate([8, 8, 1], start=1):
            said = engine.step([token])[0]
            wanted = logits(theirs, IDS + [8, 8, 1][:count], ("head", 0, zero))[-1]
            np.testing.assert_allclose(said, wanted.numpy(), atol=1e-4, rtol=1e-5)


def test_what_changes_nothing_changes_nothing_to_the_bit(both: Both) -> None:
    _, model = both
    plain = ours(model, IDS, None)
    zeros = {("layer", 0): torch.zeros(model.config.n_embd)}
    itself: dict[Point, Tensor] = capture(model, IDS, [("layer", 1), ("head", 0), ("mlp", 1)])
    for changes in (
        interventions(model, "zero"),
        interventions(model, "zero", frozen=True),
        interventions(model, "add", "layer:1", values=zeros),  # type: ignore[arg-type]
        interventions(model, "replace", "layer:2", "1.*", values=itself),
    ):
        assert torch.equal(ours(model, IDS, changes), plain)
    engine, same = TorchEngine(model), ChangedTorchEngine(model, interventions(model, "zero"))
    assert np.array_equal(engine.prefill([IDS], 20), same.prefill([IDS], 20))
    assert np.array_equal(engine.step([1]), same.step([1]))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_patching_everything_gives_the_other_run(both: Both) -> None:
    _, model = both
    other: dict[Point, Tensor] = capture(model, OTHER, [("embedding", 0), ("layer", 0), ("layer", 1)])
    wanted = ours(model, OTHER, None)
    for place in ("embedding", "layer:1", "layer:2"):
        assert torch.equal(ours(model, IDS, interventions(model, "replace", place, values=other)), wanted)


def test_frozen_attention_keeps_the_patterns_of_the_plain_run(both: Both) -> None:
    _, model = both
    plain = record(model, IDS)
    changed = record(model, IDS, interventions(model, "zero", "mlp:1", "1.1", frozen=True))
    for before, after in zip(plain.layers, changed.layers, strict=True):
        torch.testing.assert_close(after.pattern, before.pattern, atol=1e-6, rtol=0)
    loose = record(model, IDS, interventions(model, "zero", "mlp:1", "1.1"))
    assert (loose.layers[1].pattern - plain.layers[1].pattern).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_frozen_attention_is_transformers_patterns_on_new_values(name: str, tmp_path: Any) -> None:
    theirs = reference(FAMILIES[name])
    theirs.save_pretrained(tmp_path)
    _, model = open_folder(tmp_path)
    theirs.set_attn_implementation("eager")
    with torch.inference_mode():
        patterns = theirs(torch.tensor([IDS]), output_attentions=True).attentions
    values: dict[int, Tensor] = {}
    handles = []
    for index, block in enumerate(theirs.base_model.h if name == "gpt2" else theirs.base_model.layers):
        read = block.attn.c_attn if name == "gpt2" else block.self_attn.v_proj

        def keep(_: Any, inputs: Any, output: Tensor, index: int = index) -> None:
            value = output.split(output.shape[-1] // 3, -1)[2] if name == "gpt2" else output
            size = model.config.head_size
            by_head = value.unflatten(-1, (-1, size)).transpose(1, 2)
            values[index] = by_head.repeat_interleave(n_heads(theirs) // by_head.shape[1], 1)

        handles.append(read.register_forward_hook(keep))
    edits = [
        ("head", layer, lambda _, layer=layer: (patterns[layer] @ values[layer]).transpose(1, 2).flatten(2))
        for layer in range(model.config.n_layer)
    ]
    wanted = logits(theirs, IDS, *edits, ("mlp", 0, torch.zeros_like))
    for handle in handles:
        handle.remove()
    close(ours(model, IDS, interventions(model, "zero", "mlp:1", frozen=True)), wanted)
    assert (wanted - logits(theirs, IDS, ("mlp", 0, torch.zeros_like))).abs().max() > 1e-3


def test_direct_effects_add_up_with_what_is_changed(both: Both) -> None:
    _, model = both
    vector = {("layer", 0): torch.ones(model.config.n_embd), ("mlp", 1): torch.ones(model.config.n_embd)}
    added = interventions(model, "add", "layer:1", "mlp:2", values=vector)  # type: ignore[arg-type]
    for changes in (interventions(model, "zero", "attention:1", "neuron:2.1-9", "2.1", "embedding@5"), added):
        run = record(model, IDS, changes)
        made = attribute(model, run, 7, b"")
        assert made.total == pytest.approx(made.logit, abs=1e-3)
        assert made.logit == pytest.approx(float(ours(model, IDS, changes)[-1, 7]), abs=1e-4)
        kinds = [part.kind for part in made.contributions]
        assert kinds.count("intervention") == model.config.n_layer + 1


def test_positions_move_with_the_text_where_the_context_slides(both: Both) -> None:
    _, model = both
    for engine in engines(model, interventions(model, "zero", "layer:1@·41")):
        engine.prefill([IDS], 20)
        engine.step([3])
        engine.refill(0, [8, 41, 2, 5, 3])
        said = engine.step([1])[0]
        wanted = ours(model, [8, 41, 2, 5, 3, 1], interventions(model, "zero", "layer:1@2"))[-1]
        np.testing.assert_allclose(said, wanted.numpy(), atol=1e-4)
        engine.refill(0, [2, 5, 3])  # the token is no longer there
        np.testing.assert_allclose(engine.step([1])[0], ours(model, [2, 5, 3, 1], None)[-1].numpy(), atol=1e-4)


def test_another_text_starts_over_where_this_one_is_longer(both: Both) -> None:
    _, model = both
    values = capture(model, [7, 8, 9], [("mlp", 0)])
    mine = ours(model, IDS, interventions(model, "replace", "mlp:1", values=values))
    wrapped = values["mlp", 0][[0, 1, 2, 1, 2, 1, 2, 1, 2, 1]]
    wanted = ours(model, IDS, interventions(model, "replace", "mlp:1", values={("mlp", 0): wrapped}))
    assert torch.equal(mine, wanted)


def test_the_mean_of_a_long_text_is_over_its_parts(both: Both) -> None:
    _, model = both
    long = IDS * 20  # 200 tokens, and the context is shorter
    size = model.config.n_positions
    found = means(model, long, [("mlp", 0)])["mlp", 0]
    parts = [capture(model, long[start : start + size], [("mlp", 0)])["mlp", 0] for start in range(0, 200, size)]
    torch.testing.assert_close(found, torch.cat(parts).mean(0), atol=1e-5, rtol=1e-5)


def test_a_position_needs_a_text_that_is_read_at_once(both: Both) -> None:
    _, model = both
    with pytest.raises(InputError, match="200 tokens and the context"):
        interventions(model, "zero", "1.1@3").engine(model, IDS * 20)
    interventions(model, "zero", "1.1").engine(model, IDS * 20)


def test_a_bad_call_changes_nothing(both: Both) -> None:
    _, model = both
    wanted = ours(model, [*IDS, 1], interventions(model, "zero", "1.1@2"))[-1]
    for engine in engines(model, interventions(model, "zero", "1.1@2")):
        with pytest.raises(IndexError):
            engine.prefill([[]], 10)
        engine.prefill([IDS], 12)
        for arguments in ((1, [1]), (0, [1] * 20)):
            with pytest.raises(IndexError):
                engine.refill(*arguments)
        with pytest.raises(IndexError):
            engine.step([1, 2])
        np.testing.assert_allclose(engine.step([1])[0], wanted.numpy(), atol=1e-4)


def first_of_each_family() -> list[str]:
    names = {config.model_type: name for name, config in reversed(FAMILIES.items())}
    return sorted(names.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", first_of_each_family())
def test_every_family(name: str, tmp_path: Any) -> None:
    """An engine says at each step what one run over the whole text says, and its parts add up."""
    theirs = reference(FAMILIES[name])
    theirs.save_pretrained(tmp_path)
    _, model = open_folder(tmp_path)
    places = ("1.1", "neuron:1.2", "attention:1@2", "mlp:2@-1", "embedding@·60")
    for frozen in (False, True):
        changes = replace(interventions(model, "zero", *places, frozen=frozen), ids=tuple(IDS))
        for engine in engines(model, changes):
            engine.prefill([IDS[:4]], 20)
            np.testing.assert_allclose(engine.extend(IDS[4:]), ours(model, IDS, changes)[4:].numpy(), atol=2e-4)
            np.testing.assert_allclose(engine.step([3])[0], ours(model, [*IDS, 3], changes)[-1].numpy(), atol=2e-4)
        run = record(model, IDS, changes)
        assert attribute(model, run, 7, b"").total == pytest.approx(
            float(model.unembed(run.stream[-1][-1])[7]), abs=1e-3
        )
