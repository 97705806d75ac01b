"""The nearest spellings, against the textbook's table worked out one pair at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.embedding.load import open_embedding
from gptcli.embedding.spelling import edit_distances, nearest_spellings
from gptcli.embedding.words import WordList


def distance(a: str, b: str) -> int:
    """Optimal string alignment."""
    table = {(i, 0): i for i in range(len(a) + 1)} | {(0, j): j for j in range(len(b) + 1)}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            best = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                best = min(best, table[i - 2, j - 2] + 1)
            table[i, j] = best
    return table[len(a), len(b)]


@pytest.mark.slow
@given(st.text("abé", min_size=1, max_size=6), st.lists(st.text("abé", max_size=7), min_size=1, max_size=8))
def test_distances(word: str, words: list[str]) -> None:
    assert edit_distances(word, words).tolist() == [distance(word, other) for other in words]


@pytest.mark.parametrize(
    ("word", "near"),
    [("quene", ["queen"]), ("kign", ["king"]), ("zzzz", []), ("", []), ("x" * 5000, [])],
)
def test_nearest(word: str, near: list[str]) -> None:
    assert nearest_spellings(word, ["king", "queen", "tower"]) == near


def test_fewest_edits_first_then_the_earlier_word() -> None:
    assert nearest_spellings("cart", ["carted", "part", "cat", "dart"]) == ["part", "cat", "dart"]


def test_a_large_vocabulary_is_searched() -> None:
    vocabulary = open_embedding("glove-50d").vocabulary
    assert isinstance(vocabulary, WordList)
    words = vocabulary.all_words()
    assert nearest_spellings("misissippi", words)[0] == "mississippi"
