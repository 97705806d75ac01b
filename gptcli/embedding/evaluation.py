"""The standard tests of embeddings: analogy questions, and pairs of words with a human score.

Both follow gensim's ``evaluate_word_analogies`` and ``evaluate_word_pairs`` with their defaults: case is
ignored, a word that occurs in several cases is the first (most frequent) of them, only the first 300,000 words count,
and a question or pair with any other word is skipped.
"""

import io
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gptcli.embedding.load import Embedding
from gptcli.embedding.matrix import Floats
from gptcli.embedding.vectors import unit
from gptcli.errors import InputError
from gptcli.system.text_file import read_text_file
from gptcli.text import clipped

DEFAULT_RESTRICT = 300_000
# Questions compared with a chunk of the matrix at once: their cosines take some twenty megabytes.
_BATCH = 256
# Questions, or pairs, of one file: the largest published set has 98,000 (BATS).
_MOST = 200_000


@dataclass(frozen=True)
class Section:
    """The analogy questions of one kind.

    Attributes:
        name: in the file.
        correct: how many were answered correctly.
        total: how many there are.
        accuracy: ``correct`` as a fraction of ``total``; 0 where there is none.
        unknown: how many have an unknown word.
    """

    name: str
    correct: int
    total: int
    accuracy: float
    unknown: int


@dataclass(frozen=True)
class AnalogyScore:
    """The result of a file of analogy questions.

    Attributes:
        model: name of the word vectors, or of the GPT whose embedding it is.
        tensor: name of its matrix.
        file: the questions.
        restrict: how many words were searched.
        sections: results by section.
        total: the result over all sections.
        invalid: lines that are not a question.
    """

    schema: ClassVar[str] = "gptcli.analogy.evaluate/1"
    table: ClassVar[str] = "sections"

    model: str
    tensor: str
    file: Path
    restrict: int
    sections: tuple[Section, ...]
    total: Section
    invalid: int


@dataclass(frozen=True)
class PairScore:
    """The result of a file of word pairs.

    Attributes:
        model: name of the word vectors, or of the GPT whose embedding it is.
        tensor: name of its matrix.
        file: the pairs.
        spearman: rank correlation of the cosines with the human scores; None where one of them is constant.
        pearson: linear correlation of the same.
        pairs: how many pairs that is.
        unknown: how many have an unknown word.
        invalid: lines that are not a pair.
    """

    schema: ClassVar[str] = "gptcli.similarity.evaluate/1"
    table: ClassVar[str] = ""

    model: str
    tensor: str
    file: Path
    spearman: float | None
    pearson: float | None
    pairs: int
    unknown: int
    invalid: int


@dataclass(frozen=True)
class _Question:
    section: int
    rows: tuple[int, int, int]
    keys: tuple[str, str, str, str]


def evaluate_analogies(
    embedding: Embedding,
    file: Path,
    *,
    restrict: int | None = None,
    count_unknown: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> AnalogyScore:
    """Answer a file of questions, ``a b c d`` a line under ``: section`` lines: is d nearest to b - a + c?

    Args:
        embedding: the words and vectors.
        file: the questions.
        restrict: search only so many words, from the first; by default 300,000.
        count_unknown: count a question with an unknown word as wrong instead of skipping it.
        progress: called with the rows that have been searched, and all.

    Raises:
        InputError: the file cannot be read or holds no question.
    """
    keys, first = embedding.vocabulary.keys(embedding.matrix.count(restrict or DEFAULT_RESTRICT))
    names, questions, unknown, invalid = _read_questions(file, first)
    answers = _answer(embedding, questions, keys, progress)
    right = [keys[row] == question.keys[3] for row, question in zip(answers, questions, strict=True)]
    sections = []
    asked = Counter(question.section for question in questions)
    correct = Counter(question.section for ok, question in zip(right, questions, strict=True) if ok)
    for index, name in enumerate(names):
        sections.append(_section(name, correct[index], asked[index], unknown[index], count_unknown))
    total = _section("total", sum(right), len(right), sum(unknown), count_unknown)
    return AnalogyScore(embedding.name, embedding.tensor, file, len(keys), tuple(sections), total, invalid)


def evaluate_pairs(
    embedding: Embedding, file: Path, *, restrict: int | None = None, count_unknown: bool = False
) -> PairScore:
    """Compare cosines with a file of human scores, ``word word score`` a line, separated by tabs, commas or spaces.

    Args:
        embedding: the words and vectors.
        file: the pairs.
        restrict: use only so many words, from the first; by default 300,000.
        count_unknown: give a pair with an unknown word the cosine 0 instead of skipping it.

    Raises:
        InputError: the file cannot be read or holds no pair.
    """
    _, first = embedding.vocabulary.keys(embedding.matrix.count(restrict or DEFAULT_RESTRICT))
    rows, scores, missing, invalid = [], [], [], 0
    for line in _lines(file):
        pair = _read_pair(line)
        if pair is None:
            invalid += not (line.startswith("#") or not line.strip())
        elif pair[0] in first and pair[1] in first:
            rows.append((first[pair[0]], first[pair[1]]))
            scores.append(pair[2])
            _check_number(len(rows), file)
        else:
            missing.append(pair[2])
    if not rows:
        wanted = "(two words and a score a line)"
        raise InputError(f"{clipped(str(file))} holds no pair of words that {embedding.name} knows {wanted}")
    left, right = (unit(embedding.matrix.take([row[side] for row in rows])) for side in (0, 1))
    cosines = np.einsum("ij,ij->i", left, right).astype(np.float64)
    if count_unknown:
        cosines, scores = np.append(cosines, np.zeros(len(missing))), scores + missing
    human = np.array(scores)
    return PairScore(
        embedding.name,
        embedding.tensor,
        file,
        correlation(ranks(human), ranks(cosines)),
        correlation(human, cosines),
        len(scores),
        len(missing),
        invalid,
    )


def ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The rank of each value, 1 for the smallest; equal values share the mean of their ranks."""
    _, index, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    shared: npt.NDArray[np.float64] = (last - (count - 1) / 2)[index]
    return shared


def correlation(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float | None:
    """Pearson's coefficient, and Spearman's rho where both are ranks; None where one side is constant."""
    a, b = left - left.mean(), right - right.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size else None


def _section(name: str, correct: int, total: int, unknown: int, count_unknown: bool) -> Section:
    total += unknown if count_unknown else 0
    return Section(name, correct, total, correct / total if total else 0.0, unknown)


def _lines(file: Path) -> Iterator[str]:
    """The lines of a test set, with any line ending."""
    return io.StringIO(read_text_file(file), newline=None)


def _check_number(count: int, file: Path) -> None:
    if count > _MOST:
        raise InputError(f"{clipped(str(file))} has more than {_MOST:,} lines to answer: split it")


def _read_questions(file: Path, first: dict[str, int]) -> tuple[list[str], list[_Question], list[int], int]:
    """The sections' names, the questions whose words are all known, and counts of the unknown and the invalid."""
    names: list[str] = []
    questions: list[_Question] = []
    unknown: list[int] = []
    invalid = 0
    for line in _lines(file):
        words = line.upper().split()
        if line.startswith(": "):
            names.append(line.lstrip(": ").strip())
            unknown.append(0)
        elif len(words) != 4:
            invalid += bool(words)
        else:
            if not names:
                names, unknown = ["(no section)"], [0]
            a, b, c, d = words
            _check_number(len(questions) + 1, file)
            if all(word in first for word in words):
                questions.append(_Question(len(names) - 1, (first[a], first[b], first[c]), (a, b, c, d)))
            else:
                unknown[-1] += 1
    if not questions and not sum(unknown):
        raise InputError(f"{clipped(str(file))} holds no analogy question (four words a line, under ': section' lines)")
    return names, questions, unknown, invalid


def _read_pair(line: str) -> tuple[str, str, float] | None:
    parts = next((line.split(mark) for mark in ("\t", ",") if mark in line), line.split())
    try:
        left, right, score = (part.strip().upper() for part in parts)
        return (left, right, float(score)) if math.isfinite(float(score)) else None
    except ValueError:
        return None


def _answer(
    embedding: Embedding, questions: Sequence[_Question], keys: Sequence[str], progress: Callable[[int, int], None]
) -> npt.NDArray[np.int64]:
    """The row that answers each question: nearest to b - a + c by 3CosAdd, no word of the question itself.

    The matrix is read once: each chunk is compared with all questions, and the best row so far of each is kept.
    """
    best = np.full(len(questions), -np.inf, np.float32)
    found = np.zeros(len(questions), np.int64)
    if not questions:
        return found
    targets = _targets(embedding, questions)
    asked, hidden = _hidden(questions, keys)
    for start, chunk in embedding.matrix.chunks(len(keys)):
        rows = unit(chunk)
        for begin in range(0, len(questions), _BATCH):
            batch = slice(begin, begin + _BATCH)
            cosines = targets[batch] @ rows.T
            here = slice(*np.searchsorted(asked, (begin, begin + _BATCH)))
            inside = (hidden[here] >= start) & (hidden[here] < start + len(rows))
            cosines[asked[here][inside] - begin, hidden[here][inside] - start] = -np.inf
            nearest = cosines.argmax(axis=1)
            value = cosines[np.arange(len(cosines)), nearest]
            better = value > best[batch]
            best[batch] = np.where(better, value, best[batch])
            found[batch] = np.where(better, nearest + start, found[batch])
        progress(start + len(rows), len(keys))
    return found


def _targets(embedding: Embedding, questions: Sequence[_Question]) -> Floats:
    """The target of each question: b - a + c of unit vectors, [questions, d]."""
    a, b, c = (unit(embedding.matrix.take([question.rows[place] for question in questions])) for place in range(3))
    return b - a + c


def _hidden(questions: Sequence[_Question], keys: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The rows excluded as answers, as pairs (question, row) in order: the question's words in upper or lower case."""
    rows_of: dict[str, list[int]] = {key: [] for question in questions for key in question.keys[:3]}
    for row, key in enumerate(keys):
        if key in rows_of:
            rows_of[key].append(row)
    pairs = [
        (index, row) for index, question in enumerate(questions) for key in question.keys[:3] for row in rows_of[key]
    ]
    return np.array([index for index, _ in pairs]), np.array([row for _, row in pairs])
