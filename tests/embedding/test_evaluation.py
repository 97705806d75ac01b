"""Test sets, against gensim and scipy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.embedding.evaluation import correlation, evaluate_analogies, evaluate_pairs, ranks
from gptcli.embedding.load import Embedding, open_embedding
from gptcli.embedding.matrix import Matrix
from gptcli.embedding.words import WordList
from gptcli.errors import InputError
from tests import glove


@pytest.fixture(scope="module")
def cased(tmp_path_factory: pytest.TempPathFactory) -> Embedding:
    """The first 4,000 bundled words, half of them in a second case and a little off, so that folding case matters."""
    names = [str(glove.bundled().vocabulary.name(row)) for row in range(4000)]
    vectors = glove.bundled().matrix.take(range(4000))
    again = [row for row in range(2000) if names[row].title() != names[row]]
    noise = np.random.default_rng(0).standard_normal((len(again), 50)).astype(np.float32)
    path = tmp_path_factory.mktemp("cased") / "vocab.txt"
    path.write_text("\n".join([*(names[row].title() for row in again), *names]), encoding="utf-8")
    matrix = Matrix(np.concatenate([vectors[again] + 0.1 * noise, vectors]), chunk_bytes=40_000)
    return Embedding("cased", "embedding.weight", matrix, WordList(path, lowercase=False))


def in_gensim(embedding: Embedding) -> Any:
    from gensim.models import KeyedVectors

    rows = range(embedding.matrix.shape[0])
    vectors = KeyedVectors(embedding.matrix.shape[1])
    vectors.add_vectors([embedding.vocabulary.name(row) for row in rows], embedding.matrix.take(rows))
    return vectors


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every twentieth of the published questions, and lines that are none."""
    lines = glove.published("questions-words.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for number, line in enumerate(lines) if line.startswith(":") or number % 20 == 0]
    path = tmp_path_factory.mktemp("questions") / "questions.txt"
    path.write_text("\n".join([*kept, "", "three words only", ": empty section"]), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("count_unknown", [False, True])
@pytest.mark.parametrize("restrict", [None, 3000])
def test_analogies_equal_gensims(cased: Embedding, questions: Path, restrict: int | None, count_unknown: bool) -> None:
    score, sections = in_gensim(cased).evaluate_word_analogies(
        str(questions), restrict_vocab=restrict or 300_000, dummy4unknown=count_unknown
    )
    ours = evaluate_analogies(cased, questions, restrict=restrict, count_unknown=count_unknown)
    found = [(section.name, section.correct, section.total) for section in (*ours.sections, ours.total)]
    expected = [(s["section"], len(s["correct"]), len(s["correct"]) + len(s["incorrect"])) for s in sections]
    assert found[:-1] == expected[:-1]
    assert found[-1][1:] == expected[-1][1:]
    assert ours.total.accuracy == pytest.approx(score, abs=1e-12)
    assert ours.total.total > 20
    assert ours.invalid == 1


@pytest.mark.parametrize("count_unknown", [False, True])
@pytest.mark.parametrize("name", ["wordsim353.tsv", "simlex999.txt"])
def test_pairs_equal_gensims(cased: Embedding, name: str, count_unknown: bool) -> None:
    pairs = glove.published(name)
    pearson, spearman, unknown = in_gensim(cased).evaluate_word_pairs(str(pairs), dummy4unknown=count_unknown)
    ours = evaluate_pairs(cased, pairs, count_unknown=count_unknown)
    assert ours.spearman == pytest.approx(spearman[0], abs=1e-6)
    assert ours.pearson == pytest.approx(pearson[0], abs=1e-6)
    every = ours.pairs if count_unknown else ours.pairs + ours.unknown
    assert 100 * ours.unknown / every == pytest.approx(unknown)
    assert ours.invalid == 0


@pytest.mark.slow
def test_the_published_test_sets() -> None:
    # What gensim 4.4 makes of the whole files on the same vectors; its analogies take a minute and a half.
    names = ("wordsim353.tsv", "simlex999.txt")
    pairs = [evaluate_pairs(glove.bundled(), glove.published(name)) for name in names]
    assert [pair.spearman for pair in pairs] == pytest.approx([0.503188, 0.263031], abs=1e-5)
    assert [(pair.pairs, pair.unknown) for pair in pairs] == [(353, 0), (998, 1)]


@pytest.mark.slow
def test_all_published_questions() -> None:
    score = evaluate_analogies(glove.bundled(), glove.published("questions-words.txt"))
    assert (score.total.correct, score.total.total) == (9038, 19230)  # gensim 4.4 on the same vectors


def test_progress_is_told(cased: Embedding, questions: Path) -> None:
    told: list[tuple[int, int]] = []
    evaluate_analogies(cased, questions, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (cased.matrix.shape[0], cased.matrix.shape[0])
    assert len(told) > 20


def test_a_gpts_words_are_single_tokens_after_a_space(tmp_path: Path) -> None:
    path = tmp_path / "questions.txt"
    path.write_text(": family\nboy girl brother sister\nboy girl rumpelstiltskin x\n", encoding="utf-8")
    family = evaluate_analogies(open_embedding("tales"), path).sections[0]
    assert (family.correct, family.total, family.unknown) == (1, 1, 1)


@pytest.mark.parametrize("text", ["", ": section\n", "three words only\n"])
def test_a_file_without_questions(text: str, cased: Embedding, tmp_path: Path) -> None:
    (tmp_path / "q").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="holds no analogy question"):
        evaluate_analogies(cased, tmp_path / "q")
    with pytest.raises(InputError, match="holds no pair"):
        evaluate_pairs(cased, tmp_path / "q")


def test_a_file_that_cannot_be_read(cased: Embedding, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        evaluate_pairs(cased, tmp_path / "missing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(InputError, match="not UTF-8"):
        evaluate_analogies(cased, tmp_path / "binary")


@pytest.mark.parametrize("mark", ["\t", ",", "  "])
def test_pairs_are_parted_by_tabs_commas_or_spaces(mark: str, cased: Embedding, tmp_path: Path) -> None:
    lines = [("the", "of", "5"), ("Of", "TO", "3.5"), ("and", "in", "1"), ("and", "in", "high"), ("and", "of", "nan")]
    (tmp_path / "pairs").write_text("# words\n\n" + "\n".join(map(mark.join, lines)), encoding="utf-8")
    score = evaluate_pairs(cased, tmp_path / "pairs")
    assert (score.pairs, score.unknown, score.invalid) == (3, 0, 2)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=30))
def test_rho_equals_scipys(pairs: list[tuple[int, int]]) -> None:
    from scipy import stats

    left, right = np.array(pairs, float).T
    assert ranks(left) == pytest.approx(stats.rankdata(left))
    rho = correlation(ranks(left), ranks(right))
    if len(set(left)) == 1 or len(set(right)) == 1:
        assert rho is None
    else:
        assert rho == pytest.approx(stats.spearmanr(left, right).statistic, abs=1e-12)
