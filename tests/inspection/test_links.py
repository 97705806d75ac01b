"""Links between tokens: against attention by transformers, worked out once more in plain loops."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from gptcli.errors import InputError
from gptcli.inspection.attention import attention, linked
from gptcli.inspection.links import (
    STRIKING_SURPLUS,
    STRIKING_WEIGHT,
    Link,
    occurrence,
    shares,
    striking,
    surplus,
    word_links,
)

TEXT = "The king took his crown and the queen took her"


@pytest.fixture(scope="module")
def patterns(tales: Any, tales_reference: Any) -> np.ndarray[Any, Any]:
    """Attention weights by transformers: [L, H, T, T]."""
    ids = torch.tensor([tales.encode_prompt(TEXT)])
    with torch.inference_mode():
        seen = tales_reference(ids, output_attentions=True).attentions
    return torch.cat(seen).double().numpy()


def surplus_in_loops(pattern: Any) -> Any:
    """The definition, link by link."""
    length = len(pattern)
    over = np.full((length, length), -math.inf)
    for query in range(length):
        for key in range(1, query - 1):
            distance = query - key
            alike = [pattern[q, q - distance] for q in range(distance + 1, length) if q != query]
            popular = [pattern[q, key] for q in range(key + 1, length) if q != query]
            usual = [float(np.mean(each)) if each else 0.0 for each in (alike, popular)]
            over[query, key] = pattern[query, key] - max(usual)
    return over


def test_the_surplus_is_what_distance_and_key_do_not_explain(patterns: Any) -> None:
    for layer in (0, 3):
        got = surplus(patterns[layer])
        for head in range(4):
            np.testing.assert_allclose(got[head], surplus_in_loops(patterns[layer, head]), atol=1e-12)


def test_the_striking_link_is_that_of_transformers(tales: Any, patterns: Any) -> None:
    """Over all heads, the largest surplus among links of at least half of a query's attention."""
    over = np.stack([[surplus_in_loops(head) for head in layer] for layer in patterns])
    over[patterns < STRIKING_WEIGHT] = -math.inf
    layer, head, query, key = (int(index) for index in np.unravel_index(int(over.argmax()), over.shape))
    assert over.max() >= STRIKING_SURPLUS
    found = attention(tales, TEXT, layers="all").striking
    assert found is not None
    assert (found.layer, found.head, found.query, found.key) == (layer + 1, head + 1, query + 1, key + 1)
    assert found.weight == pytest.approx(patterns[layer, head, query, key], abs=1e-5)
    assert attention(tales, TEXT, layers="all", scores=True, columns=True).striking == found


def test_what_a_head_does_everywhere_is_not_striking() -> None:
    length = 9
    for target in (lambda q: 0, lambda q: q, lambda q: max(q - 1, 0), lambda q: max(q - 3, 0), lambda q: min(q, 2)):
        pattern = np.zeros((length, length), np.float32)
        for query in range(length):
            pattern[query, target(query)] = 1.0
        assert striking([(1, 1, pattern)]) is None
        if target(8) == 5:  # one link away from the rule
            pattern[8] = 0
            pattern[8, 3] = 1.0
            assert striking([(2, 3, pattern)]) == Link(2, 3, 9, 4, 1.0)


def test_the_shares_of_a_text_are_means_that_add_up(tales: Any, patterns: Any) -> None:
    answer = attention(tales, TEXT, layers="all")
    length = patterns.shape[-1]
    for head in answer.heads:
        pattern, told = patterns[head.layer - 1, head.head - 1], head.in_text
        assert told is not None
        queries = range(2, length)
        assert told.first_token == pytest.approx(np.mean([pattern[q, 0] for q in queries]), abs=1e-5)
        assert told.previous_token == pytest.approx(np.mean([pattern[q, q - 1] for q in queries]), abs=1e-5)
        assert told.itself == pytest.approx(np.mean([pattern[q, q] for q in queries]), abs=1e-5)
        assert told.first_token + told.previous_token + told.itself + told.elsewhere == pytest.approx(1)
    assert answer.in_text is not None
    means = np.mean([head.in_text.itself for head in answer.heads if head.in_text is not None])
    assert answer.in_text.itself == pytest.approx(means)
    assert shares(np.ones((1, 2, 2), np.float32)) is None


def test_the_links_of_a_word_are_the_largest_weights_of_its_row_and_column(tales: Any, patterns: Any) -> None:
    out = linked(tales, TEXT, ["queen"], [], most=6)
    (word,) = out.links
    assert (out.heads, word.looks, word.positions, word.occurrences) == ([], True, [8], 1)
    row = patterns[:, :, 7, :8]
    np.testing.assert_allclose([link.weight for link in word.links], np.sort(row.flatten())[::-1][:6], atol=1e-5)
    for link in word.links:
        assert link.weight == pytest.approx(patterns[link.layer - 1, link.head - 1, 7, link.key - 1], abs=1e-5)
    (word,) = linked(tales, TEXT, [], ["king"], layers="3", most=4).links
    np.testing.assert_allclose(
        [link.weight for link in word.links], np.sort(patterns[2, :, 1:, 1].flatten())[::-1][:4], atol=1e-5
    )
    (both,) = linked(tales, TEXT, ["her"], ["queen"], most=3).links
    assert {(link.query, link.key) for link in both.links} == {(10, 8)}
    assert both.links[0].weight == pytest.approx(patterns[:, :, 9, 7].max(), abs=1e-5)


TOKENS = [b"The", b" king", b" and", b" the", b" q", b"ueen", b" the", b" kings", b"."]


@pytest.mark.parametrize(
    ("word", "latest", "found"),
    [
        ("king", True, ([1], 1, 1)),
        ("the", True, ([6], 2, 2)),
        ("the", False, ([3], 1, 2)),
        ("The", True, ([0], 1, 1)),
        ("THE:2", True, ([3], 2, 3)),
        ("queen", True, ([4, 5], 1, 1)),
        ("QUEEN", False, ([4, 5], 1, 1)),
        ("the queen", True, ([3, 4, 5], 1, 1)),
        (".", True, ([8], 1, 1)),
    ],
)
def test_a_word_is_found_as_typed_or_by_its_number(word: str, latest: bool, found: Any) -> None:
    assert occurrence(word, TOKENS, "--from", latest=latest) == found


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("kin", "did you mean king"),
        ("", "its words are"),
        ("zzz", "The, king, and"),
        ("the:3", "2 times"),
        ("ing", "--to"),
    ],
)
def test_a_word_that_is_not_there_is_told(word: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        occurrence(word, TOKENS, "--to", latest=True)


def test_links_to_the_right_of_a_word_do_not_exist() -> None:
    pattern = np.tril(np.ones((3, 3), np.float32))
    (word,) = word_links([(1, 1, pattern)], [b"a", b" b", b" c"], ["b"], [], 9)
    assert [(link.query, link.key) for link in word.links] == [(2, 1), (2, 2)]
