"""Neurons in a run and by their weights, against transformers' own modules and float64 arithmetic."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gptcli.errors import InputError
from gptcli.inspection.attribution import attribute
from gptcli.inspection.heads import repeated_tokens
from gptcli.inspection.neuron_weights import read_neurons, view_neuron, written
from gptcli.inspection.neurons import neurons
from gptcli.inspection.passages import activations_of
from gptcli.inspection.place_text import parse
from gptcli.inspection.record import record
from gptcli.model.native.library import library
from tests.inspection.weights import IDS, LAYOUTS, opened, stream_of
from tests.native.test_engine import in_c
from tests.tales import FEELINGS_NEURON, LAYERS, NAME_HEAD

WITH_C = pytest.mark.skipif(library() is None, reason="the engine in C was not built")
TEXT = " ".join(map(str, IDS))
# A text that a feeling follows, and some of the six words that the neuron of feelings raises most.
LOST = "Tom lost his ball and he was"
FEELINGS = {" unhappy", " angry", " troubled"}
# Where transformers keeps the last matrix of an MLP, and the layers.
_LAST = {
    "gpt2": ("transformer.h.{}.mlp.c_proj", "transformer.ln_f"),
    "gpt_neox": ("gpt_neox.layers.{}.mlp.dense_4h_to_h", "gpt_neox.final_layer_norm"),
    "llama": ("model.layers.{}.mlp.down_proj", "model.norm"),
}


def open_checkpoint(family: str, *, native: bool = False) -> Any:
    """As ``OpenCheckpoint``, of a tiny model whose tokens are numbers."""
    what, model, _, _ = opened(family)
    return SimpleNamespace(
        what=what,
        model=model,
        native=in_c(model) if native else None,
        name=family,
        config=what.config,
        n_vocab=what.n_vocab,
        tokenizer=what.tokenizer,
        encode_prompt=what.tokenizer.encode,
    )


def theirs_inputs(family: str, ids: list[int]) -> tuple[list[np.ndarray], np.ndarray]:
    """What the last matrix of each MLP of transformers' model reads, [T, neurons], and what its final norm reads."""
    theirs = opened(family)[2]
    last, final = _LAST[family]
    seen: dict[str, torch.Tensor] = {}
    names = [last.format(layer) for layer in range(opened(family)[0].config.n_layer)] + [final]
    handles = [
        theirs.get_submodule(name).register_forward_pre_hook(
            lambda module, inputs, name=name: seen.__setitem__(name, inputs[0][0].double())
        )
        for name in names
    ]
    with torch.inference_mode():
        theirs(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    return [seen[name].numpy() for name in names[:-1]], seen[final].numpy()


@pytest.mark.parametrize("family", _LAST)
@pytest.mark.parametrize("measure", ["activation", "written", "unusual"])
@pytest.mark.parametrize("native", [False, pytest.param(True, marks=WITH_C)], ids=["PyTorch", "C"])
def test_the_most_active_neurons_are_those_of_transformers(family: str, measure: Any, native: bool) -> None:
    theirs, final = theirs_inputs(family, IDS)
    what, _, model, _ = opened(family)
    random = repeated_tokens(what.n_vocab, what.config.n_positions)
    on_random = np.stack([each.mean(0) for each in theirs_inputs(family, random)[0]])
    columns = [_columns(family, model, layer) for layer in range(len(theirs))]  # [neurons, C] each
    lengths = [np.linalg.norm(each, axis=1) for each in columns]
    answer = neurons(open_checkpoint(family, native=native), TEXT, top=4, measure=measure, words=5)
    assert [token.id for token in answer.tokens] == IDS
    assert [token.position for token in answer.tokens] == list(range(1, len(IDS) + 1))
    for position, token in enumerate(answer.tokens):
        activations = np.stack([each[position] for each in theirs])  # [L, neurons]
        others = np.stack([np.delete(each, position, axis=0).mean(0) for each in theirs])
        usual = np.where(np.abs(others) > np.abs(on_random), others, on_random)
        by = {
            "activation": np.abs(activations),
            "written": np.abs(activations) * lengths,
            "unusual": (np.abs(activations) - np.abs(usual)) * lengths,
        }[measure]
        order = np.argsort(-by, axis=None)[:4]
        assert [(each.layer - 1) * by.shape[1] + each.neuron - 1 for each in token.neurons] == order.tolist()
        for each in token.neurons:
            layer, number = each.layer - 1, each.neuron - 1
            assert each.activation == pytest.approx(activations[layer, number], abs=1e-4)
            assert each.usual == pytest.approx(usual[layer][number], abs=1e-4)
            assert each.written == pytest.approx(abs(activations[layer, number]) * lengths[layer][number], abs=1e-4)
            logits = _direct(family, model, columns[layer][number] * activations[layer, number], final[position])
            _same(each.raises, logits)
            _same(each.lowers, logits, worst=True)


def _columns(family: str, theirs: Any, layer: int) -> np.ndarray:
    weight = theirs.get_submodule(_LAST[family][0].format(layer)).weight.detach().double().numpy()
    return np.asarray(weight if family == "gpt2" else weight.T)  # Conv1D is [in, out]


def _direct(family: str, theirs: Any, vector: np.ndarray, final: np.ndarray) -> np.ndarray:
    """The vector's effect on the logits, in float64, with the final norm's scale held; less the mean."""
    norm = theirs.get_submodule(_LAST[family][1])
    if family == "llama":
        scale = np.sqrt(np.square(final).mean() + theirs.config.rms_norm_eps)
    else:
        vector = vector - vector.mean()
        scale = np.sqrt(final.var() + norm.eps)
    logits = theirs.get_output_embeddings().weight.detach().double().numpy() @ (
        vector / scale * norm.weight.detach().double().numpy()
    )
    return np.asarray(logits - logits.mean())


def _same(found: Any, exact: np.ndarray, *, worst: bool = False) -> None:
    order = np.argsort(exact if worst else -exact)[: len(found)]
    np.testing.assert_allclose([each.score for each in found], exact[order], atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(exact[[each.id for each in found]], exact[order], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", LAYOUTS)
def test_activations_times_columns_are_the_mlp(family: str) -> None:
    stream, model = stream_of(family), opened(family)[1]
    for layer, recorded in enumerate(record(model, IDS).layers):
        every = list(range(model.config.mlp_width))
        by_weights = stream.activations(f"h.{layer}.", recorded.mlp_in.numpy(), every)
        np.testing.assert_allclose(by_weights, recorded.activated.numpy(), atol=1e-4, rtol=1e-4)
        bias = stream.vector(f"h.{layer}.mlp.c_proj.bias")
        total = by_weights @ written(stream, layer, every) + (0 if bias is None else bias)
        np.testing.assert_allclose(total, recorded.down.numpy(), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("family", LAYOUTS)
def test_direct_effects_of_all_neurons_are_the_mlps_term(family: str) -> None:
    """Of the logits of two tokens: what is added to all logits is left out."""
    checkpoint = open_checkpoint(family)
    config = checkpoint.config
    if config.logit_cap is not None:
        pytest.skip("attribution holds the cap at what it makes of one logit")
    run = record(checkpoint.model, IDS)
    terms = [
        {
            part.layer: part.logit
            for part in attribute(checkpoint.model, run, token, b"").contributions
            if part.kind == "mlp"
        }
        for token in (7, 3)
    ]
    for layer in range(1, config.n_layer + 1):
        answer = neurons(
            checkpoint,
            TEXT,
            layers=str(layer),
            top=config.mlp_width,
            at=parse("embedding@-1").positions,
            words=config.vocab_size,
        )
        (token,) = answer.tokens
        assert len(token.neurons) == config.mlp_width
        scores = [{each.id: each.score for each in neuron.raises} for neuron in token.neurons]
        total = sum(each[7] - each[3] for each in scores)
        assert total == pytest.approx(terms[0][layer] - terms[1][layer], abs=2e-4, rel=1e-3)


@pytest.mark.parametrize("family", LAYOUTS)
def test_one_neuron_of_a_run_up_to_its_layer(family: str) -> None:
    model = opened(family)[1]
    run = record(model, IDS).layers[1] if model.config.n_layer > 1 else record(model, IDS).layers[0]
    place: Any = SimpleNamespace(layer=min(2, model.config.n_layer), neuron=3)
    (found,) = activations_of(model, place, [IDS[2:]], IDS[:2])
    np.testing.assert_allclose(found, run.activated[2:, 2].numpy(), atol=1e-4, rtol=1e-4)


def test_what_excites_a_neuron_is_what_a_token_alone_does() -> None:
    """In a model with rotary positions, a token alone is a text of one token."""
    stream, model = stream_of("llama"), opened("llama")[1]
    ids = list(range(0, 97, 5))
    (first,) = read_neurons(stream, 0, [5], ids, 4)
    (second,) = read_neurons(stream, 1, [5], ids, 4)
    alone = [record(model, [token]) for token in ids]
    behind_one = np.array([float(run.layers[1].activated[0, 5]) for run in alone])
    # The MLP of layer 2 reads the stream after layer 1 without its own attention.
    norm = model.h[1].ln_2
    with torch.inference_mode():
        streams = torch.stack([run.layers[0].after[0] for run in alone])
        exact = model.h[1].mlp.activation(model.h[1].mlp.c_gate(norm(streams))) * model.h[1].mlp.c_fc(norm(streams))
        embedded = torch.stack([run.embedded[0] for run in alone])
        lowest = model.h[0].ln_2(embedded)
        exact_first = model.h[0].mlp.activation(model.h[0].mlp.c_gate(lowest)) * model.h[0].mlp.c_fc(lowest)
    for neuron, values in ((first, exact_first[:, 5].numpy()), (second, exact[:, 5].numpy())):
        order = np.argsort(-values)[:4]
        assert [each.id for each in neuron.excited_by] == [ids[place] for place in order]
        np.testing.assert_allclose([each.score for each in neuron.excited_by], values[order], atol=1e-4, rtol=1e-4)
    assert len(behind_one) == len(ids)


def test_negative_activations_raise_what_the_vector_lowers() -> None:
    answer = neurons(open_checkpoint("llama"), TEXT, top=5, words=3)
    stream = stream_of("llama")
    negative = [each for token in answer.tokens for each in token.neurons if each.activation < 0]
    assert negative
    for each in negative:
        (plain,) = read_neurons(stream, each.layer - 1, [each.neuron - 1], [1, 2, 3], 3)
        assert [one.id for one in each.raises] == [one.id for one in plain.lowers]
        assert each.raises[0].score > 0 > each.lowers[0].score


@pytest.mark.slow
def test_a_neuron_of_tales_writes_feelings(tales: Any) -> None:
    view = view_neuron(tales.what, FEELINGS_NEURON, top=6, sampled=50)
    assert (view.through, view.sampled, view.n_vocab) == (1, 50, 50257)
    words = {each.token.decode() for each in view.neuron.raises}
    assert words >= FEELINGS
    answer = neurons(tales, LOST, at=parse("embedding@-1").positions, top=3)
    assert FEELINGS_NEURON in [f"{each.layer}.{each.neuron}" for each in answer.tokens[0].neurons]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"layers": f"{LAYERS + 1}"}, f"layers 1 to {LAYERS}"),
        ({"top": 1000}, "more than 3,000"),
        ({"at": parse("embedding@dragon").positions}, "no token"),
    ],
)
def test_mistakes_are_named(tales: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        neurons(tales, "The king and the", **more)


@pytest.mark.slow
def test_python_has_the_same_answers(tales: Any) -> None:
    from gptcli.api import LoadedGPT

    gpt = LoadedGPT(tales)
    answer = gpt.neurons(LOST, at="-1", top=2)
    assert answer == neurons(tales, LOST, at=parse("embedding@-1").positions, top=2)
    assert gpt.neuron(FEELINGS_NEURON, top=2) == view_neuron(tales.what, FEELINGS_NEURON, top=2)
    passages = gpt.passages(FEELINGS_NEURON, LOST, top=1)
    assert passages.passages[0].position == len(gpt.encode(LOST))  # the last token: a feeling follows
    view = gpt.head(NAME_HEAD, words=["Tom"], sampled=20)
    assert view.label is not None
    assert view.moves.seen[0].raises[0].token == b" Tom"
