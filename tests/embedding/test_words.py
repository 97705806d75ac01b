"""Words a line in a file, and tokens of a GPT."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.embedding.load import open_embedding
from gptcli.embedding.tokens import TokenList
from gptcli.embedding.words import WordList
from gptcli.errors import CheckpointError, InputError
from gptcli.tokenizer import gpt2_tokenizer

WORDS = ["the", "of", "queen", "spider-man", "the", "état", "'s", "x"]


@pytest.fixture(params=["\n", ""])
def words(request: pytest.FixtureRequest, tmp_path: Path) -> WordList:
    """The list with a newline at its end, and without."""
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + request.param, encoding="utf-8")
    return WordList(tmp_path / "vocab.txt", lowercase=True)


def test_every_word_is_found_at_its_first_row(words: WordList) -> None:
    assert len(words) == len(WORDS)
    for row, word in enumerate(WORDS):
        assert words.name(row) == word
        assert words.rows(word) == (WORDS.index(word),)
    assert words.all_words() == WORDS
    assert words.all_words(2) == WORDS[:2]


@pytest.mark.parametrize("text", ["", "th", "he", "queen\nspider-man", "\n", "quee", "\x00", "\ud800", "x\n"])
def test_only_whole_lines_are_words(words: WordList, text: str) -> None:
    assert not words.has(text)


def test_case_and_accents_are_folded(words: WordList) -> None:
    assert words.rows("QUEEN") == (2,)
    assert words.rows(unicodedata.normalize("NFD", "État")) == (5,)


def test_case_is_kept_where_the_vocabulary_has_it(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("us\nUS\n", encoding="utf-8")
    assert WordList(tmp_path / "vocab.txt", lowercase=False).rows("US") == (1,)


def test_an_unknown_word_is_answered_with_its_neighbours_in_spelling(words: WordList) -> None:
    with pytest.raises(InputError, match=r"'quene' is not among the 8 words of .*: did you mean queen\?"):
        words.rows("quene")
    with pytest.raises(InputError, match=r"its parts are: try the\+queen"):
        words.rows("the queen")
    with pytest.raises(InputError, match="nor is anything spelled like it"):
        words.rows("zzzzzz")


def test_keys_are_upper_case_and_the_first_row_wins(words: WordList) -> None:
    keys, first = words.keys(5)
    assert list(keys) == ["THE", "OF", "QUEEN", "SPIDER-MAN", "THE"]
    assert first == {"THE": 0, "OF": 1, "QUEEN": 2, "SPIDER-MAN": 3}


def test_no_words(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot read the words"):
        WordList(tmp_path / "vocab.txt", lowercase=True)


@pytest.mark.slow
@given(st.text())
def test_any_text_is_looked_up_or_refused(text: str) -> None:
    vocabulary = open_embedding("glove-50d").vocabulary
    if vocabulary.has(text):
        assert len(vocabulary.rows(text)) == 1


@pytest.fixture(scope="module")
def tokens() -> TokenList:
    return TokenList(gpt2_tokenizer(), 50_304, leading_space=True)


def test_tokens_have_a_space_before_them(tokens: TokenList) -> None:
    # Published ids: " king" and "king".
    assert tokens.rows("king") == (5822,)
    assert tokens.rows(" king") == (5822,)
    assert TokenList(gpt2_tokenizer(), 50_257, leading_space=False).rows("king") == (3364,)
    assert tokens.name(5822) == b" king"


def test_several_tokens(tokens: TokenList) -> None:
    rows = tokens.rows("supercalifragilistic")
    assert len(rows) > 1
    assert b"".join(map(tokens.name, rows)) == b" supercalifragilistic"
    assert tokens.has("king")
    assert not tokens.has("supercalifragilistic")


def test_a_row_that_no_text_leads_to(tokens: TokenList) -> None:
    assert tokens.name(50_300) == b"<unused 50300>"


def test_a_token_without_a_row() -> None:
    with pytest.raises(InputError, match="beyond the embedding's 100 rows"):
        TokenList(gpt2_tokenizer(), 100, leading_space=True).rows("king")
    with pytest.raises(InputError, match="no word"):
        TokenList(gpt2_tokenizer(), 100, leading_space=True).rows("  ")


def test_token_keys_prefer_the_space(tokens: TokenList) -> None:
    keys, first = tokens.keys(50_257)
    assert keys[5822] == keys[3364] == "KING"
    # " King" comes before " king" in the vocabulary.
    assert first["KING"] == 2677
    assert keys[2677] == "KING"
