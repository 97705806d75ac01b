"""The passages that excite a neuron: every token is judged once, and the best are those of a search by hand."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.errors import InputError
from gptcli.inspection.neuron_weights import Neuron
from gptcli.inspection.passages import AFTER, BEFORE, activations_of, find_passages, windows
from tests.held_out import held_out_ids
from tests.tales import FEELINGS_NEURON

NEURON = Neuron(2, 7, [], [], [])
_LAYER, _NEURON = map(int, FEELINGS_NEURON.split("."))
FEELINGS = Neuron(_LAYER, _NEURON, [], [], [])
# What follows where the neuron of feelings is most active in held-out stories: nearly always one of these.
ADJECTIVES = (" good", " mad", " grumpy", " cold", " fond", " very", " tired", " happy")


@pytest.mark.slow
@given(st.integers(0, 300), st.integers(1, 60), st.integers(1, 40))
def test_every_token_is_judged_once_with_others_around_it(length: int, size: int, batch: int) -> None:
    ids = list(range(length))
    batches = [ids[start : start + batch] for start in range(0, length, batch)]
    found = [(each.first, list(each.ids), each.judged) for each in windows(batches, size)]
    judged = [first + place for first, _, places in found for place in places]
    assert judged == ids
    lead, tail = size // 4, min(AFTER, size // 4)
    for first, inside, places in found:
        assert inside == ids[first : first + len(inside)]
        assert 1 <= len(inside) <= size
        assert first == 0 or places.start >= lead
        assert len(inside) - places.stop >= tail or first + len(inside) == length


def search(values: list[float], top: int) -> list[int]:
    """The positions of the best tokens that are further apart than a passage reaches, by hand."""
    taken: list[int] = []
    for position in sorted(range(len(values)), key=lambda each: (-values[each], each)):
        if all(abs(position - other) > BEFORE + AFTER for other in taken):
            taken.append(position)
    return taken[:top]


@pytest.fixture(scope="module")
def text(tales: Any) -> list[int]:
    return [token for document in held_out_ids(tales.tokenizer) for token in document[1:]]


@pytest.mark.slow
def test_passages_are_those_of_a_search_by_hand(tales: Any, text: list[int]) -> None:
    ids = text[:900]
    window = 128
    batches = [ids[:100], ids[100:500], ids[500:]]
    found = find_passages(tales, FEELINGS, batches, "a text", top=7, window=window)
    values = [0.0] * len(ids)
    for each in windows([ids], window):
        row = activations_of(tales.model, FEELINGS, [each.ids], ())[0]
        for place in each.judged:
            values[each.first + place] = float(row[place])
    assert (found.read, found.complete, found.window) == (len(ids), True, window)
    assert found.largest == pytest.approx(max(values), abs=1e-4)
    assert found.smallest == pytest.approx(min(values), abs=1e-4)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-4)
    assert found.positive == pytest.approx(np.mean(np.array(values) > 0), abs=2e-3)
    assert [each.position - 1 for each in found.passages] == search(values, 7)
    for passage in found.passages:
        assert passage.tokens[passage.peak].activation == passage.activation
        assert passage.activation == pytest.approx(values[passage.position - 1], abs=1e-4)
        first = passage.position - 1 - passage.peak
        assert [each.id for each in passage.tokens] == ids[first : first + len(passage.tokens)]
        assert len(passage.tokens) <= BEFORE + 1 + AFTER
    assert all(one.activation >= other.activation for one, other in pairwise(found.passages))


@pytest.mark.slow
def test_the_neuron_of_feelings_is_excited_where_an_adjective_follows(tales: Any, text: list[int]) -> None:
    found = find_passages(tales, FEELINGS, [text], "held-out stories", top=10)
    texts = ["".join(each.token.decode() for each in one.tokens[one.peak + 1 : one.peak + 3]) for one in found.passages]
    assert sum(text.startswith(ADJECTIVES) for text in texts) >= 8, texts


@pytest.mark.slow
def test_what_an_interrupted_search_found_is_kept(tales: Any, text: list[int]) -> None:
    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    found = find_passages(tales, FEELINGS, [text[:1200]], "a text", window=40, read=interrupt)
    assert not found.complete
    assert 0 < found.read < 1200
    assert found.passages


def test_nothing_found_before_the_interrupt_is_an_interrupt(tales: Any) -> None:
    def interrupted() -> Any:
        yield []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_passages(tales, FEELINGS, interrupted(), "a text")


@pytest.mark.parametrize(
    ("batches", "window", "said"),
    [([[]], None, "no token"), ([[1, 2]], 513, "1 to 512"), ([[1, 2]], 0, "1 to 512")],
)
def test_mistakes_are_named(tales: Any, batches: list[list[int]], window: int | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        find_passages(tales, FEELINGS, batches, "a text", window=window)


def test_the_ids_before_every_text_stand_in_every_window(tales: Any) -> None:
    begun: Any = SimpleNamespace(
        name="tales",
        config=tales.config,
        model=tales.model,
        tokenizer=SimpleNamespace(prefix_ids=[50256], token_bytes=tales.tokenizer.token_bytes),
    )
    ids = tales.tokenizer.encode("The king was very sad and the queen was happy.")
    found = find_passages(begun, NEURON, [ids], "a text", top=1)
    assert found.window == 511
    with_prefix = activations_of(tales.model, NEURON, [[50256, *ids]], ())[0][1:]
    assert found.largest == pytest.approx(float(with_prefix.max()), abs=1e-4)
