"""A word in several contexts, against transformers' hidden states."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptcli.embedding.metric import Metric
from gptcli.errors import InputError
from gptcli.inspection.contexts import compare_contexts, marked_vectors, nearest_tokens, read_mark
from gptcli.model.native.library import library
from gptcli.model.native.weights import why_not
from tests.checkpoint.zoo import FAMILIES, both, each, open_folder, reference, understand
from tests.native.test_engine import in_c
from tests.tales import LAYERS

IDS = [5, 17, 3, 60, 3, 17, 8, 41, 2, 5]
TEXTS = ["a machine learning [model]", "a fashion [model]", "the [mole] dug a hole"]


def opened(model: Any, native: Any = None, **more: Any) -> Any:
    """What ``contexts`` asks of a checkpoint."""
    return SimpleNamespace(
        model=model, native=native, native_for=lambda ids, unchanged: native, config=model.config, changes=None, **more
    )


@pytest.mark.slow
@pytest.mark.parametrize("native", [False, True], ids=["PyTorch", "C"])
@pytest.mark.parametrize("family", each(FAMILIES))
def test_vectors_are_transformers_hidden_states(family: str, native: bool) -> None:
    theirs, model = both(family)
    if native and (library() is None or why_not(model.config) is not None):
        pytest.skip("the engine in C cannot run this")
    mine = opened(model, in_c(model) if native else None)
    with torch.inference_mode():
        said = theirs(torch.tensor([IDS]), output_hidden_states=True).hidden_states
    for position in (0, 4, 9):
        ours = marked_vectors(mine, IDS[: position + 1])  # what comes later has no part in it
        assert len(ours) == len(said)
        for step, state in enumerate(said[:-1]):
            np.testing.assert_allclose(ours[step], state[0, position].numpy(), atol=1e-4 if native else 2e-5, rtol=1e-5)
        with torch.inference_mode():  # transformers gives the last one behind the final norm
            last = model.ln_f(torch.from_numpy(ours[-1]))
        if said[-1].shape[-1] == last.shape[-1]:
            np.testing.assert_allclose(last.numpy(), said[-1][0, position].numpy(), atol=1e-4, rtol=1e-5)


def test_cosines_are_those_of_transformers_hidden_states(tales: Any, tales_reference: Any) -> None:
    answer = compare_contexts(tales, TEXTS)
    assert [context.position for context in answer.contexts] == [4, 3, 2]
    states = []
    for context in answer.contexts:
        ids = torch.tensor([tales.tokenizer.encode(context.text)])
        assert int(ids[0, context.position - 1]) == context.tokens[-1].id
        with torch.inference_mode():
            hidden = tales_reference(ids, output_hidden_states=True).hidden_states
        states.append([state[0, context.position - 1].double() for state in hidden[:-1]])
    assert [(pair.first, pair.second) for pair in answer.pairs] == [(1, 2), (1, 3), (2, 3)]
    for pair in answer.pairs:
        for step, value in enumerate(pair.values[:-1]):
            expected = torch.cosine_similarity(states[pair.first - 1][step], states[pair.second - 1][step], dim=0)
            assert value == pytest.approx(float(expected), abs=1e-5)
    assert answer.layers == ("embedding", *map(str, range(1, LAYERS + 1)))


def test_the_same_token_at_the_same_position_is_the_same_until_it_has_looked_around(tales: Any) -> None:
    (pair,) = compare_contexts(tales, ["she sat on the [bank]", "she ran to the [bank]"]).pairs
    assert pair.values[0] == pytest.approx(1, abs=1e-12)
    assert max(pair.values[1:]) < 0.9999
    (same,) = compare_contexts(tales, ["she sat on the [bank]", "she sat on the [bank] of it"]).pairs
    assert same.values == pytest.approx([1] * (1 + LAYERS), abs=1e-12)


def test_euclidean_distances(tales: Any) -> None:
    (pair,) = compare_contexts(tales, TEXTS[:2], metric=Metric.euclidean).pairs
    plain = ["a machine learning model", "a fashion model"]
    first, second = (marked_vectors(tales, tales.tokenizer.encode(text)) for text in plain)
    assert pair.values == pytest.approx(np.linalg.norm(first - second, axis=1), rel=1e-5)


@pytest.mark.slow
def test_nearest_tokens_by_embedding_and_by_logit(tales: Any, tales_reference: Any) -> None:
    vectors = np.stack([marked_vectors(tales, tales.tokenizer.encode(text)) for text in ("a king", "the old king")])
    embedding = tales_reference.transformer.wte.weight.detach().double().numpy()[: tales.n_vocab]
    lengths = np.linalg.norm(embedding, axis=1)
    near = nearest_tokens(tales, vectors, 4)
    by_logit = nearest_tokens(tales, vectors, 4, unembedding=True)
    for context, step in ((0, 0), (1, 0), (1, 3), (0, LAYERS)):
        vector = vectors[context, step].astype(np.float64)
        cosines = embedding @ vector / np.linalg.norm(vector) / lengths
        best = np.argsort(-cosines)[:4]
        assert [item.id for item in near[context][step]] == best.tolist()
        assert [item.similarity for item in near[context][step]] == pytest.approx(cosines[best], abs=1e-5)
        with torch.inference_mode():
            normed = tales_reference.transformer.ln_f(torch.from_numpy(vectors[context, step]))
            logits = tales_reference.lm_head(normed)[: tales.n_vocab]
        assert [item.id for item in by_logit[context][step]] == logits.topk(4).indices.tolist()
    assert near[0][0][0].token == b" king"


def test_nearest_tokens_where_the_embedding_has_a_width_of_its_own(tales: Any, tmp_path: Any) -> None:
    theirs = reference(FAMILIES["opt untied"])
    theirs.save_pretrained(tmp_path)
    blueprint, header = understand(tmp_path)
    _, model = open_folder(tmp_path)
    kept = {"tokenizer": tales.tokenizer, "n_vocab": model.config.vocab_size, "unused": ()}
    what = SimpleNamespace(blueprint=blueprint, header=header, config=model.config, **kept)
    checkpoint = opened(model, what=what, **kept)
    vector = marked_vectors(checkpoint, IDS)[1]
    decoder = theirs.model.decoder
    with torch.inference_mode():
        rows = decoder.project_in(decoder.embed_tokens.weight)
    expected = torch.cosine_similarity(rows, torch.from_numpy(vector), dim=1).topk(5)
    near = nearest_tokens(checkpoint, vector[None, None], 5)[0][0]
    assert [item.id for item in near] == expected.indices.tolist()
    assert [item.similarity for item in near] == pytest.approx(expected.values.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "plain", "marked"),
    [
        ("a fashion [model]", "a fashion model", "model"),
        ("the [ mole ] dug", "the  mole  dug", "mole"),
        (r"list\[0\] of [x]", "list[0] of x", "x"),
        (r"a \\ and [b\]c]", "a \\ and b]c", "b]c"),
        (r"C:\dir [x]", "C:\\dir x", "x"),
    ],
)
def test_marks_by_hand(text: str, plain: str, marked: str) -> None:
    found = read_mark(text)
    assert (found.text, found.text[found.start : found.end]) == (plain, marked)


@pytest.mark.slow
@given(st.text(), st.text().filter(str.strip), st.text())
def test_any_text_can_be_marked(before: str, marked: str, after: str) -> None:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")

    found = read_mark(f"{escaped(before)}[{escaped(marked)}]{escaped(after)}")
    assert found.text == before + marked + after
    assert found.text[found.start : found.end] == marked.strip()
    assert found.text[: found.start].startswith(before)


@pytest.mark.parametrize("text", ["none", "[two] [words]", "[[x]]", "]x[", "[x", "x]", r"\[x\]", "[]", "[ ]"])
def test_marks_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match=r"brackets"):
        read_mark(text)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["the [king]"], "two texts"),
        (["the [king]", "two [model]s"], "mark all of the word"),
        (["the [king]", "word " * 600 + "[end]"], "context"),
    ],
)
def test_what_cannot_be_compared(tales: Any, texts: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        compare_contexts(tales, texts)


def test_a_word_of_several_tokens_is_its_last_one(tales: Any) -> None:
    answer = compare_contexts(tales, ["an [overgrown] garden", "the [king] said", "[King] of all"])
    first, second, third = answer.contexts
    ids = tales.tokenizer.encode("an overgrown")
    assert b"".join(token.token for token in first.tokens) == b" overgrown"
    assert (len(first.tokens), first.tokens[-1].id, first.position) == (len(ids) - 1, ids[-1], len(ids))
    assert (second.tokens[0].token, len(second.tokens), second.position) == (b" king", 1, 2)
    assert (third.tokens[0].token, len(third.tokens), third.position) == (b"King", 1, 1)
    assert answer.notes == (f"'overgrown' is {len(first.tokens)} tokens: the last of them, 'grown', stands for it",)
