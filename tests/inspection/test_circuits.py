"""A head by its weights, against recorded runs, and against float64 arithmetic on the file's own tensors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from gptcli.errors import ExpressionError, InputError
from gptcli.inspection import circuits as circuits_module
from gptcli.inspection import head_sample
from gptcli.inspection import stream as stream_module
from gptcli.inspection.by_weights import view_head
from gptcli.inspection.circuits import Circuits, HeadWeights, by_distance, eigenvalue_score, equal_tokens, rotated
from gptcli.inspection.head_scan import scan_heads
from gptcli.inspection.heads import label_heads
from gptcli.inspection.record import record
from gptcli.inspection.stream import StreamWeights
from gptcli.inspection.token_scores import Top
from tests.inspection.weights import IDS, LAYOUTS, alone, opened, stream_of
from tests.tales import LAYERS, NAME_HEAD

Doubles = NDArray[np.float64]


@pytest.mark.slow
@pytest.mark.parametrize("family", LAYOUTS)
def test_a_token_alone_goes_through_layers_as_in_a_run(family: str) -> None:
    stream, model = stream_of(family), opened(family)[1]
    entered = stream.embedded(IDS) + stream.positions(1)
    for layers in range(model.config.n_layer + 1):
        expected = torch.stack([alone(model, token)[layers] for token in IDS]).numpy()
        np.testing.assert_allclose(stream.alone(layers, entered), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", LAYOUTS)
def test_queries_keys_values_and_outputs_are_those_of_a_run(family: str) -> None:
    stream, model = stream_of(family), opened(family)[1]
    run = record(model, IDS)
    for layer, recorded in enumerate(run.layers):
        normed = recorded.normed.numpy()
        total: Any = 0.0
        growth: Any = 1.0
        if model.config.query_growth:
            from gptcli.model.positions import query_growth

            growth = query_growth(model.config, len(IDS))[:, None]
        for head in range(model.config.n_head):
            weights = HeadWeights(stream, layer, head)
            q, k = (rotated(stream, layer, each(normed), range(len(IDS))) for each in (weights.queries, weights.keys))
            np.testing.assert_allclose(q * growth, recorded.q[head].numpy(), atol=1e-4, rtol=1e-4)
            np.testing.assert_allclose(k, recorded.k[head].numpy(), atol=1e-4, rtol=1e-4)
            gathered = recorded.pattern[head].numpy() @ weights.values(normed)
            np.testing.assert_allclose(gathered, recorded.heads[head].numpy(), atol=1e-4, rtol=1e-4)
            total = total + gathered @ weights.o.T
        bias = stream.vector(f"h.{layer}.attn.c_proj.bias")
        np.testing.assert_allclose(total + (0 if bias is None else bias), recorded.projected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("family", LAYOUTS)
def test_what_a_head_writes_reaches_the_logits_as_attribution_says(family: str) -> None:
    """With every norm held as in the run, the difference of two outputs of a head is that of its two terms."""
    from gptcli.inspection.attribution import attribute

    stream, model = stream_of(family), opened(family)[1]
    run = record(model, IDS)
    scales = _scales(model, IDS)
    cap = model.config.logit_cap
    terms = {
        (part.layer, part.head): part.logit
        for part in attribute(model, run, 7, b"").contributions
        if part.kind == "head"
    }
    for layer, recorded in enumerate(run.layers):
        for head in (0, model.config.n_head - 1):
            weights = HeadWeights(stream, layer, head)
            written = recorded.heads[head][-1:].numpy() @ weights.o.T
            behind = stream.to_unembedding(layer, "attention", written, scales)
            logit = float(behind[0] @ stream.unembedding_of([7])[0])
            if cap is None:
                assert logit == pytest.approx(terms[layer + 1, head + 1], abs=1e-4, rel=1e-3)
            else:  # the cap is held as in the run by attribution, and left out by the weights: one factor for all
                assert np.sign(logit) == np.sign(terms[layer + 1, head + 1])


def _scales(model: Any, ids: list[int]) -> dict[str, Any]:
    """What each norm divides by at the last position."""
    found: dict[str, Any] = {}

    def hook(name: str) -> Any:
        def saw(module: Any, inputs: Any, output: Any) -> None:
            x = inputs[0][0, -1].double()
            x = x - x.mean() if model.config.norm_kind == "layer" else x
            found[name] = np.array([float((x.square().mean() + model.config.layer_norm_epsilon).sqrt())], np.float32)

        return saw

    names = [name for name, _ in model.named_modules() if name.rpartition(".")[2].startswith("ln_")]
    handles = [model.get_submodule(name).register_forward_hook(hook(name)) for name in names]
    with torch.inference_mode():
        model(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    return found


def test_layers_that_add_nothing_leave_the_stream_to_the_norms() -> None:
    """Where norms stand on the stream itself, it goes through them also if layers add nothing."""
    stream = stream_of("openai-gpt")
    x = stream.embedded(IDS)
    through = stream.norm("h.0.ln_2", stream.norm("h.0.ln_1", x))
    np.testing.assert_array_equal(stream.read_by(1, "attention", x), through)
    np.testing.assert_array_equal(stream.read_by(1, "mlp", x), stream.norm("h.1.ln_1", through))
    np.testing.assert_array_equal(stream.read_by(1, "attention", x, 1), x)


# The same circuits from the file's tensors, in float64, over the whole vocabulary and with [V, V] matrices.


def _layer_norm(x: Doubles, weight: Doubles, bias: Doubles | None, epsilon: float) -> Doubles:
    x = x - x.mean(-1, keepdims=True)
    made: Doubles = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + epsilon) * weight
    return made if bias is None else made + bias


def _rms_norm(x: Doubles, weight: Doubles, epsilon: float) -> Doubles:
    made: Doubles = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + epsilon) * weight
    return made


def _gpt2(file: dict[str, Doubles], theirs: Any, layer: int, head: int) -> tuple[Doubles, ...]:
    name, size = f"transformer.h.{layer}.", theirs.config.n_embd // theirs.config.n_head
    own = slice(head * size, (head + 1) * size)
    embedding = file["transformer.wte.weight"]
    epsilon = theirs.config.layer_norm_epsilon
    x = _layer_norm(embedding, file[name + "ln_1.weight"], file[name + "ln_1.bias"], epsilon)
    qkv = x @ file[name + "attn.c_attn.weight"] + file[name + "attn.c_attn.bias"]
    q, k, v = (part[:, own] for part in np.split(qkv, 3, axis=1))
    out = file[name + "attn.c_proj.weight"][own]  # [D, C]
    out = (out - out.mean(-1, keepdims=True)) * file["transformer.ln_f.weight"]
    return q, k, v @ out @ embedding.T


def _neox(file: dict[str, Doubles], theirs: Any, layer: int, head: int) -> tuple[Doubles, ...]:
    name, size = f"gpt_neox.layers.{layer}.", theirs.config.hidden_size // theirs.config.num_attention_heads
    epsilon = theirs.config.layer_norm_eps
    embedding = file["gpt_neox.embed_in.weight"]
    x = _layer_norm(embedding, file[name + "input_layernorm.weight"], file[name + "input_layernorm.bias"], epsilon)
    rows = file[name + "attention.query_key_value.weight"].reshape(-1, 3, size, x.shape[1])[head]
    biases = file[name + "attention.query_key_value.bias"].reshape(-1, 3, size)[head]
    q, k, v = (x @ rows[part].T + biases[part] for part in range(3))
    out = file[name + "attention.dense.weight"][:, head * size : (head + 1) * size].T
    out = (out - out.mean(-1, keepdims=True)) * file["gpt_neox.final_layer_norm.weight"]
    return q, k, v @ out @ file["embed_out.weight"].T


def _llama(file: dict[str, Doubles], theirs: Any, layer: int, head: int) -> tuple[Doubles, ...]:
    config, name = theirs.config, f"model.layers.{layer}."
    size, key = (
        config.hidden_size // config.num_attention_heads,
        head * config.num_key_value_heads // config.num_attention_heads,
    )
    x = _rms_norm(file["model.embed_tokens.weight"], file[name + "input_layernorm.weight"], config.rms_norm_eps)
    q, k, v = (
        x @ file[f"{name}self_attn.{part}_proj.weight"][number * size : (number + 1) * size].T
        for part, number in (("q", head), ("k", key), ("v", key))
    )
    out = file[name + "self_attn.o_proj.weight"][:, head * size : (head + 1) * size].T * file["model.norm.weight"]
    return q, k, v @ out @ file["lm_head.weight"].T


def _turned(x: Doubles, angle: float, rotated_numbers: int, base: float) -> Doubles:
    """Halves rotated by a position, as complex numbers."""
    half = rotated_numbers // 2
    turns = np.exp(1j * angle * base ** (-np.arange(half) * 2 / rotated_numbers))
    numbers = (x[:, :half] + 1j * x[:, half : 2 * half]) * turns
    return np.hstack([numbers.real, numbers.imag, x[:, 2 * half :]])


def _copying(matrix: Doubles) -> float:
    """Of [V, V], seen token by logit."""
    values = np.linalg.eigvals(matrix - matrix.mean(0) - (matrix - matrix.mean(0)).mean(1, keepdims=True))
    return float(values.real.sum() / np.abs(values).sum())


@pytest.mark.parametrize(
    ("family", "layer", "head", "exact"), [("gpt2", 2, 3, _gpt2), ("gpt_neox", 1, 4, _neox), ("llama", 1, 3, _llama)]
)
def test_both_circuits_are_those_of_the_files_tensors(family: str, layer: int, head: int, exact: Any) -> None:
    checkpoint, _, theirs, folder = opened(family)
    file = {name: tensor.astype(np.float64) for name, tensor in _tensors(folder).items()}
    q, k, moved = exact(file, theirs, layer, head)
    distance = 3
    view = view_head(
        checkpoint, f"{layer + 1}.{head + 1}", words=["t5", "t41"], top=6, distance=distance, sampled=0, through=0
    )
    assert view.sampled == view.n_vocab == len(moved)

    beyond = moved - moved.mean(0)  # beyond what it writes for any token
    ranks = 1 + (beyond > np.diagonal(beyond)[:, None]).sum(1)
    assert view.moves.copied == pytest.approx((ranks == 1).mean())
    assert view.moves.among_five == pytest.approx((ranks <= 5).mean())
    assert view.moves.median_rank == np.median(ranks)
    assert view.moves.copying_score == pytest.approx(_copying(moved), abs=1e-4)
    always = moved.mean(0) - moved.mean()
    _same(view.moves.always, always)
    logits = beyond - beyond.mean(1, keepdims=True)
    for seen in view.moves.seen:
        assert seen.rank == ranks[seen.id]
        _same(seen.raises, logits[seen.id])
        _same(seen.lowers, logits[seen.id], worst=True)

    config = theirs.config
    size = q.shape[1]
    if family != "gpt2":
        rope = config.rope_parameters
        turning = int(size * rope.get("partial_rotary_factor", 1.0))
        q = _turned(q, distance, turning, rope["rope_theta"])
    assert view.looks.distance == (None if family == "gpt2" else distance)
    scores = q @ (k - k.mean(0)).T / np.sqrt(size)
    matched = 1 + (scores > np.diagonal(scores)[:, None]).sum(1)
    assert view.looks.matched == pytest.approx((matched == 1).mean())
    assert view.looks.median_rank == np.median(matched)
    assert view.looks.matching_score == pytest.approx(_copying(scores), abs=1e-4)
    for looking in view.looks.looking:
        assert looking.rank == matched[looking.id]
        _same(looking.matches, scores[looking.id])
    _same(view.looks.always, scores.mean(0))


def _tensors(folder: Path) -> dict[str, Any]:
    return dict(load_file(folder / "model.safetensors"))


def _same(found: Any, exact: Doubles, *, worst: bool = False) -> None:
    order = np.argsort(exact if worst else -exact)[: len(found)]
    assert [each.id for each in found] == order.tolist()
    np.testing.assert_allclose([each.score for each in found], exact[order], atol=1e-4, rtol=1e-4)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = view_head(opened("gpt2")[0], "2.3", words=["t5", "t41"], sampled=0, top=4)
    monkeypatch.setattr(circuits_module, "AT_ONCE", 7)
    monkeypatch.setattr(stream_module, "_ROWS", 10)
    parts = view_head(opened("gpt2")[0], "2.3", words=["t5", "t41"], sampled=0, top=4)
    assert (parts.moves.copied, parts.moves.median_rank) == (whole.moves.copied, whole.moves.median_rank)
    assert (parts.looks.matched, parts.looks.median_rank) == (whole.looks.matched, whole.looks.median_rank)
    assert [[each.id for each in seen.raises] for seen in parts.moves.seen] == [
        [each.id for each in seen.raises] for seen in whole.moves.seen
    ]


def test_a_sample_that_takes_too_much_memory_is_refused(tales: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_sample, "_MOST_NUMBERS", 256 * 100)
    with pytest.raises(InputError, match="--tokens 0: 50,257 tokens take too much memory here: 100 are the most"):
        view_head(tales.what, "5.3", sampled=0)


def test_thin_products_have_the_eigenvalues_of_the_large_matrix() -> None:
    random = np.random.default_rng(0)
    left, right = random.normal(size=(2, 30, 4)).astype(np.float32)
    values = np.linalg.eigvals(right.astype(float) @ left.T.astype(float))
    assert eigenvalue_score(left, right) == pytest.approx(values.real.sum() / np.abs(values).sum(), abs=1e-6)
    assert eigenvalue_score(left, left) == pytest.approx(1)
    assert eigenvalue_score(left, -left) == pytest.approx(-1)
    assert eigenvalue_score(left * 0, right) == 0


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", pytest.param("bloom", marks=pytest.mark.slow)])
def test_attention_by_distance_is_that_of_equal_tokens(family: str) -> None:
    """The mean of one token is that token: its text, repeated, has the same attention in layer 1."""
    stream, model = stream_of(family), opened(family)[1]
    length = min(model.config.n_positions, 128)
    pattern = record(model, [7] * length).layers[0].pattern.numpy()
    for head in range(model.config.n_head):
        found = by_distance(stream, HeadWeights(stream, 0, head), equal_tokens(stream, 0, stream.embedded([7])[0], 0))
        assert found.length == length
        rows = range(length // 2, length)
        for distance in (0, 1, 5, length // 2 - 1):
            expected = np.mean([pattern[head, row, row - distance] for row in rows])
            assert found.shares[distance] == pytest.approx(expected, abs=1e-5)
        assert found.first == pytest.approx(pattern[head, 1:, 0].mean(), abs=1e-5)
        assert found.preferred == int(np.argmax(found.shares))


def test_the_window_and_the_slope_limit_the_distance() -> None:
    stream = stream_of("bloom")
    found = by_distance(stream, HeadWeights(stream, 0, 1), equal_tokens(stream, 0, stream.embedded([7])[0], 0))
    from gptcli.model.positions import alibi_slopes

    assert found.slope is not None
    assert found.slope == pytest.approx(float(alibi_slopes(stream.config)[1]))
    ratios = np.array(found.shares[1:20]) / np.array(found.shares[:19])
    np.testing.assert_allclose(ratios, np.exp(-found.slope), rtol=2e-2)
    neo = stream_of("gpt_neo")
    assert neo.config.window(1) == 9
    shares = by_distance(neo, HeadWeights(neo, 1, 0), equal_tokens(neo, 1, neo.embedded([7])[0], 0)).shares
    assert sum(shares[:9]) == pytest.approx(1, abs=1e-5)
    assert sum(shares[9:]) == 0


def test_scores_at_a_distance_are_those_of_a_run() -> None:
    """In layer 1 of a model with rotary positions, a query's score of a key is known from their tokens and distance."""
    stream, model = stream_of("gpt_neox"), opened("gpt_neox")[1]
    scores = record(model, IDS).layers[0].scores.numpy()
    ids = sorted(set(IDS))
    x = stream.read_by(0, "attention", stream.embedded(ids))
    for query, key in ((9, 4), (5, 5), (7, 1)):
        weights = HeadWeights(stream, 0, 2)
        circuits = Circuits(stream, weights, ids, x, query - key)
        found = circuits.q[ids.index(IDS[query])] @ circuits.k[ids.index(IDS[key])]
        assert found == pytest.approx(scores[2, query, key], abs=1e-4)


@pytest.mark.slow
def test_the_head_of_tales_that_repeats_names_copies(tales: Any) -> None:
    view = view_head(tales.what, NAME_HEAD, words=["Tom", "Lily", "dragon"], sampled=300)
    assert view.moves.copying_score > 0.95
    assert view.moves.copied > 0.4
    assert [each.token for each in view.moves.seen] == [b" Tom", b" Lily", b" dragon"]
    for seen in view.moves.seen:
        assert (seen.rank, seen.raises[0].token) == (1, seen.token)


@pytest.mark.slow
def test_the_scan_finds_it(tales: Any) -> None:
    scan = scan_heads(tales.what, sampled=100, labels=lambda: label_heads(tales))
    assert scan.complete
    best = max(scan.heads, key=lambda each: each.copied)
    assert f"{best.layer}.{best.head}" == NAME_HEAD
    assert best.label is not None
    assert [each.layer for each in scan.heads if each.preferred == 1][:1] == [1]


@pytest.mark.slow
def test_an_interrupted_scan_keeps_what_it_has(tales: Any) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    scan = scan_heads(tales.what, sampled=20, progress=stop)
    assert (len(scan.heads), scan.complete) == (3, False)


def test_shared_keys_are_said() -> None:
    view = view_head(opened("llama")[0], "2.4", sampled=20)
    assert (view.key_head, view.shared_with) == (2, [3, 4])
    assert view_head(opened("gpt2")[0], "2.4", sampled=20).shared_with == []


@pytest.mark.parametrize(
    ("place", "more", "error", "said"),
    [
        (f"{LAYERS + 1}.1", {}, ExpressionError, f"layers 1 to {LAYERS}"),
        ("4.9", {}, ExpressionError, "heads 1 to 4"),
        ("4.*", {}, InputError, "one head"),
        ("mlp:3", {}, InputError, "one head"),
        ("4.1@-1", {}, InputError, "one head"),
        ("4.1", {"through": 4}, InputError, "--through 4"),
        ("4.1", {"distance": 512}, InputError, "0 to 511"),
        ("4.1", {"words": ["overgrown"]}, InputError, "tokens"),
        ("4.1", {"words": [" "]}, InputError, "--token"),
    ],
)
def test_mistakes_are_named(tales: Any, place: str, more: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said.replace("*", r"\*")):
        view_head(tales.what, place, sampled=10, **more)


def test_the_largest_of_blocks_are_the_largest_of_all() -> None:
    random = np.random.default_rng(1)
    scores = random.integers(0, 30, size=(3, 100)).astype(np.float32)  # with equal ones
    scores[:, 7] = -np.inf
    top = Top(3, 5)
    for start in range(0, 100, 33):
        top.add(start, scores[:, start : start + 33])
    for (ids, found), row in zip(top.rows(), scores, strict=True):
        assert found.tolist() == sorted(row.tolist(), reverse=True)[:5]
        assert row[ids].tolist() == found.tolist()


def test_a_sample_is_of_frequent_tokens_and_always_the_same(tales: Any) -> None:
    stream = StreamWeights(tales.what)
    ids = stream.sample(50)
    assert ids == stream.sample(50) == sorted(set(ids))
    assert all(502 <= token < 5026 for token in ids)
    assert len(stream.sample(0)) == tales.n_vocab == 50257
    assert len(stream_of("gpt2").sample(50)) == 50
