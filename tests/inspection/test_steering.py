"""Directions as typed: where they are added, what they are made of, and where a wrong one is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from gptcli.errors import CheckpointError, ExpressionError, InputError
from gptcli.inspection.interventions import Interventions
from gptcli.inspection.record import record
from gptcli.inspection.request import made, notes, requested, save_steered
from gptcli.inspection.steering import directions, parse_steer
from tests.tales import LAYERS


def direction(tales: Any, text: str) -> torch.Tensor:
    steer = parse_steer(text)
    (found,) = directions(tales, steer, steer.place.within(tales.config)).values()
    return torch.from_numpy(found)


@pytest.mark.parametrize(
    ("text", "expression", "terms", "strength"),
    [
        ("layer:4: happy - sad * 6", "happy - sad", [("happy", 1), ("sad", -1)], 6),
        ("layer:4: happy - sad", "happy - sad", [("happy", 1), ("sad", -1)], 1),
        ("layer:4:happy*-2.5", "happy", [("happy", 1)], -2.5),
        ("layer:4@-1: 2*happy-sad × .5", "2*happy-sad", [("happy", 2), ("sad", -1)], 0.5),
        ("embedding: (happy + glad)/2 * 3", "(happy + glad)/2", [("happy", 0.5), ("glad", 0.5)], 3),
        ('mlp:2: "I love you" - "a * 3"', '"I love you" - "a * 3"', [("I love you", 1), ("a * 3", -1)], 1),
        ("attention:1: unembedding:queen * 2", "unembedding:queen", [("unembedding:queen", 1)], 2),
        ("layer:3: a-b/joy-1.safetensors * 3", "a-b/joy-1.safetensors", [("a-b/joy-1.safetensors", 1)], 3),
        (
            "layer:3: 2*./x.safetensors-sad",
            "2*./x.safetensors-sad",
            [("./x.safetensors", 2), ("sad", -1)],
            1,
        ),
        (
            "layer:3: happy - /a/x.safetensors*2",
            "happy - /a/x.safetensors",
            [("happy", 1), ("/a/x.safetensors", -1)],
            2,
        ),
    ],
)
def test_what_is_typed(text: str, expression: str, terms: list[tuple[str, float]], strength: float) -> None:
    steer = parse_steer(text)
    assert (steer.expression, steer.strength) == (expression, strength)
    assert [(term.word, term.weight) for term in steer.terms] == terms


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("happy - sad", 0, "no place of this name"),
        ("layer:4 happy", 8, "expected ':'"),
        ("4.1: happy", 0, "as wide as the residual stream"),
        ("neuron:3.1: happy", 0, "as wide as the residual stream"),
        ("layer:4:", 8, "expected what to add"),
        ("layer:4: happy sad", 15, "expected an operator"),
        ("layer:4: happy - (sad", 17, "never closed"),
        ("layer:4: happy * sad", 15, "multiplied by numbers"),
        ('layer:4: "happy', 9, "never closed"),
    ],
)
def test_a_mistake_is_pointed_at(text: str, column: int, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        parse_steer(text)
    assert (caught.value.expression, caught.value.position) == (text, column)


def test_words_are_token_embeddings(tales: Any) -> None:
    wte, encode = tales.model.wte.weight, tales.tokenizer.encode
    (happy,), (sad,) = encode(" happy"), encode(" sad")
    torch.testing.assert_close(direction(tales, "layer:4: happy - 2*sad"), wte[happy] - 2 * wte[sad])
    several = encode(" grumblefox")
    assert len(several) > 1
    torch.testing.assert_close(direction(tales, "layer:4: ·grumblefox"), wte[several].mean(0))
    asked = requested(steer=["layer:4: grumblefox - unembedding:grumblefox + happy"])
    assert [note.rpartition(": ")[2] for note in notes(tales, asked)] == [
        "the mean of them is taken",
        "the first is taken",
    ]


def test_a_row_of_the_unembedding(tales: Any) -> None:
    (queen,) = tales.tokenizer.encode(" queen")
    torch.testing.assert_close(direction(tales, "mlp:2: unembedding:queen"), tales.model.lm_head.weight[queen])


@pytest.mark.slow
def test_texts_are_what_stands_at_the_place_at_their_end(tales: Any, tales_reference: Any) -> None:
    with torch.inference_mode():
        love, hate = (
            tales_reference(torch.tensor([tales.tokenizer.encode(text)]), output_hidden_states=True).hidden_states
            for text in ("I love you", "I really hate you")
        )
    found = direction(tales, 'layer:3: "I love you" - "I really hate you"')
    torch.testing.assert_close(found, love[3][0, -1] - hate[3][0, -1], atol=1e-4, rtol=1e-4)


def test_a_saved_direction_is_the_same(tales: Any, tmp_path: Path) -> None:
    path = tmp_path / "joy.safetensors"
    save_steered(tales, parse_steer("layer:4: happy - sad * 6"), path)
    (saved,) = load_file(path).values()
    np.testing.assert_allclose(saved, direction(tales, "layer:4: happy - sad").numpy())
    torch.testing.assert_close(direction(tales, f'layer:2: "{path}"'), torch.from_numpy(saved))
    torch.testing.assert_close(direction(tales, f"layer:2: {path} * 3"), torch.from_numpy(saved))
    with pytest.raises(InputError, match="has 2: name one layer"):
        save_steered(tales, parse_steer("layer:4-5: happy"), path)


def test_files_without_a_direction_are_refused(tales: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointError):
        direction(tales, f'layer:2: "{path}"')
    one = np.ones(256, np.float32)
    for tensors, message in (
        ({"a": one[:3]}, r"F32 \[3\]"),
        ({"a": one, "b": one}, "2 tensors"),
        ({"a": one.astype(np.int32)}, "I32"),
        ({"a": one * np.nan}, "NaN"),
    ):
        save_file(tensors, path)
        with pytest.raises(InputError, match=message):
            direction(tales, f'layer:2: "{path}"')


@pytest.mark.slow
def test_a_request_in_a_model(tales: Any) -> None:
    """The parts of a request, as the hooks get them: each changes the logits as its own definition has it."""
    ids = tales.tokenizer.encode("Lily and Tom went out. Lily saw")
    plain = record(tales.model, ids).stream[-1]

    def stream(**request: Any) -> torch.Tensor:
        changes = made(tales, requested(**request))
        assert isinstance(changes, Interventions)
        return record(tales.model, ids, changes).stream[-1]

    last = f"layer:{LAYERS}"
    joy = direction(tales, f"{last}: happy - sad")
    torch.testing.assert_close(stream(steer=[f"{last}: happy - sad * 6"]), plain + 6 * joy, atol=1e-4, rtol=1e-5)
    assert torch.equal(stream(steer=[f"{last}: happy * 0"]), plain)
    other = "Tom went home. He was sad."
    theirs = record(tales.model, tales.tokenizer.encode(other))
    torch.testing.assert_close(stream(without=[last], by="resample", from_text=other)[:7], theirs.stream[-1][:7])
    average = theirs.stream[-1].mean(0).expand_as(plain)
    torch.testing.assert_close(stream(without=[last], by="mean", over=other), average, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(stream(without=[last], by="mean"), plain.mean(0).expand_as(plain), atol=1e-4, rtol=1e-5)
    at = stream(without=[f"{last}@Lily"])
    assert at.abs().sum(-1).eq(0).tolist() == [
        True,
        True,
        False,
        False,
        False,
        False,
        False,
        True,
        False,
    ]  # of "L", "ily"
    assert made(tales, requested()) is None


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"by": "mean"}, "go with --without"),
        ({"freeze_attention": True}, "goes with --without or --steer"),
        ({"without": ["1.1"], "by": "half"}, "must be one of"),
        ({"without": ["1.1"], "over": "x"}, "--over goes with"),
        ({"without": ["1.1"], "by": "resample"}, "goes with --from-text"),
        ({"without": ["1.1"], "from_text": "x"}, "goes with --from-text"),
        ({"without": ["1.1"] * 1001}, "1,000 are the most"),
    ],
)
def test_a_request_that_contradicts_itself(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        requested(**request_)
