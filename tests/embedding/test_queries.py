"""What an embedding answers: as gensim does on the same vectors, and as the video shows it."""

from typing import Any

import pytest

from gptcli.embedding.expression import parse
from gptcli.embedding.load import Embedding, open_embedding
from gptcli.embedding.metric import Method, Metric
from gptcli.embedding.queries import analogy, direction, neighbors, similarity
from gptcli.errors import ExpressionError, InputError
from tests import glove
from tests.tales import cosine_of_analogy


@pytest.fixture(scope="module")
def words() -> Embedding:
    return glove.bundled()


@pytest.fixture(scope="module")
def tales_embedding() -> Embedding:
    return open_embedding("tales")


@pytest.fixture(scope="module")
def gensim(words: Embedding) -> Any:
    """The same words and vectors in gensim."""
    from gensim.models import KeyedVectors

    names = [words.vocabulary.name(row) for row in range(words.matrix.shape[0])]
    vectors = KeyedVectors(words.matrix.shape[1])
    vectors.add_vectors(names, words.matrix.take(range(len(names))))
    return vectors


def listed(answer: Any) -> list[tuple[Any, Any]]:
    return [(item.token, pytest.approx(item.similarity, abs=1e-4)) for item in answer.neighbors]


@pytest.mark.slow
@pytest.mark.parametrize("restrict", [None, 5000])
@pytest.mark.parametrize(
    ("text", "positive", "negative"),
    [
        ("king-man+woman", ["king", "woman"], ["man"]),
        ("Hitler + Italy - Germany", ["hitler", "italy"], ["germany"]),
        ("nephew - man + woman", ["nephew", "woman"], ["man"]),
        ("2*big - small", [("big", 2.0)], ["small"]),
        ("(king + queen)/2 - man", [("king", 0.5), ("queen", 0.5)], ["man"]),
        ("king + king - man", ["king", "king"], ["man"]),
        ("tower", ["tower"], []),
    ],
)
def test_equals_gensims_most_similar(
    words: Embedding, gensim: Any, text: str, positive: list, negative: list, restrict: int | None
) -> None:
    expected = gensim.most_similar(positive, negative, topn=20, restrict_vocab=restrict)
    assert listed(analogy(words, parse(text), top=20, restrict=restrict)) == expected


@pytest.mark.slow
def test_equals_gensims_product(words: Embedding, gensim: Any) -> None:
    with pytest.warns(DeprecationWarning, match="init_sims"):  # gensim calls its own deprecated function
        expected = gensim.most_similar_cosmul(["king", "woman"], ["man"], topn=20)
    assert listed(analogy(words, parse("king - man + woman"), method=Method.mul, top=20)) == expected


def test_neighbors_equal_gensims(words: Embedding, gensim: Any) -> None:
    assert listed(neighbors(words, "Spider-Man", top=20)) == gensim.similar_by_word("spider-man", topn=20)


def test_similarity_equals_gensims(words: Embedding, gensim: Any) -> None:
    names = ["king", "queen", "tower"]
    expected = [[pytest.approx(gensim.similarity(a, b), abs=1e-4) for b in names] for a in names]
    assert [list(row) for row in similarity(words, names).values] == expected


@pytest.mark.parametrize(
    ("text", "word", "score"),
    [
        ("king - man + woman", "queen", 0.852),  # gensim's published result
        ("Hitler + Italy - Germany", "mussolini", 0.858),
        ("nephew - man + woman", "niece", 0.916),
    ],
)
def test_the_videos_analogies(words: Embedding, text: str, word: str, score: float) -> None:
    best = analogy(words, parse(text), top=1).neighbors[0]
    assert best.token == word
    assert best.similarity == pytest.approx(score, abs=0.0006)


def test_the_videos_direction_of_the_plural(words: Embedding) -> None:
    singulars, plurals = ["cat", "puppy", "student", "tree", "king"], ["cats", "puppies", "students", "trees", "kings"]
    answer = direction(words, parse("cats-cat"), singulars + plurals, sort=False)
    dots = [product.dot for product in answer.products]
    assert all(one < many for one, many in zip(dots[:5], dots[5:], strict=True))
    counted = [p.dot for p in direction(words, parse("cats-cat"), ["one", "two", "three", "four"], sort=False).products]
    assert counted == sorted(counted)
    # Worked out from the published vectors with numpy.
    assert counted == pytest.approx([-2.40, 0.79, 1.27, 1.49], abs=0.01)


@pytest.mark.parametrize(
    ("text", "three", "word"),
    [
        ("king-man+woman", ("king", "man", "woman"), "queen"),
        ("brother-boy+girl", ("brother", "boy", "girl"), "sister"),
    ],
)
def test_the_bundled_gpts_own_embedding(
    tales_embedding: Embedding, text: str, three: tuple[str, str, str], word: str
) -> None:
    """Held to numpy in float64 on the rows of the file."""
    best = analogy(tales_embedding, parse(text), top=1).neighbors[0]
    assert best.token == f" {word}".encode()
    assert best.similarity == pytest.approx(cosine_of_analogy(*three, word), abs=1e-5)


@pytest.mark.slow
def test_the_query_is_left_out_or_ranked(tales_embedding: Embedding) -> None:
    answer = analogy(tales_embedding, parse("king-man+woman"), top=3)
    own = {5822, 582, 2415}
    assert not own & {item.id for item in answer.neighbors}
    kept = analogy(tales_embedding, parse("king-man+woman"), top=3, keep_query=True).neighbors
    assert own <= {item.id for item in kept}
    assert [item.in_query for item in kept] == [item.id in own for item in kept]
    assert [item.rank for item in kept] == sorted(item.rank for item in kept)
    everything = analogy(tales_embedding, parse("king-man+woman"), top=50_257, keep_query=True).neighbors
    places = {item.id: item.rank for item in everything}
    assert {item.id: item.rank for item in kept}.items() <= places.items()


def test_a_word_of_several_tokens_is_their_mean_and_that_is_said(tales_embedding: Embedding) -> None:
    ids = tales_embedding.vocabulary.rows("rumpelstiltskin")
    answer = neighbors(tales_embedding, "rumpelstiltskin", top=3)
    assert len(ids) > 1
    assert answer.words[0].ids == ids
    assert len(answer.notes) == 1
    assert answer.notes[0].startswith(f"'rumpelstiltskin' is {len(ids)} tokens, ' r")
    assert not set(ids) & {item.id for item in answer.neighbors}
    target = tales_embedding.matrix.take(ids).mean(axis=0)
    best = tales_embedding.matrix.take([answer.neighbors[0].id])[0]
    cosine = best @ target / (best @ best) ** 0.5 / (target @ target) ** 0.5
    assert answer.neighbors[0].similarity == pytest.approx(float(cosine), abs=1e-5)


def test_metrics_that_take_vectors_as_they_are(words: Embedding) -> None:
    king, man, woman = words.matrix.take([words.vocabulary.rows(word)[0] for word in ("king", "man", "woman")])
    for metric, of in (
        (Metric.dot, lambda row: float(row @ (king - man + woman))),
        (Metric.euclidean, lambda row: float((((king - man + woman) - row) ** 2).sum() ** 0.5)),
    ):
        answer = analogy(words, parse("king-man+woman"), metric=metric, top=5)
        rows = words.matrix.take([item.id for item in answer.neighbors])
        assert [item.similarity for item in answer.neighbors] == pytest.approx([of(row) for row in rows], rel=1e-4)
        scores = [item.similarity for item in answer.neighbors]
        assert scores == sorted(scores, reverse=metric is Metric.dot)


def test_a_product_is_made_of_cosines(words: Embedding) -> None:
    with pytest.raises(InputError, match="does not go with --metric dot"):
        analogy(words, parse("king-man"), method=Method.mul, metric=Metric.dot)


def test_words_and_expressions_are_told_apart(words: Embedding) -> None:
    answer = similarity(words, ["spider-man", "spider - man", "king"])
    assert [word.word for word in answer.words] == ["spider-man", "spider", "man", "king"]
    assert answer.notes == ()
    assert analogy(words, parse("spider-man")).notes[0].startswith("spider-man is read as arithmetic")
    with pytest.raises(ExpressionError):
        similarity(words, ["king", "queen*man"])


def test_directions_are_sorted_or_not(words: Embedding) -> None:
    given = ["one", "two", "three", "four", "cats"]
    in_order = direction(words, parse("cats-cat"), given, sort=False).products
    assert [product.label for product in in_order] == given
    assert list(direction(words, parse("cats-cat"), given).products) == sorted(in_order, key=lambda p: -p.dot)
    cats, cat = words.matrix.take([words.vocabulary.rows(word)[0] for word in ("cats", "cat")])
    assert in_order[-1].dot == pytest.approx(float((cats - cat) @ cats), abs=1e-4)


def test_too_few_words(words: Embedding) -> None:
    with pytest.raises(InputError, match="two words or more"):
        similarity(words, ["king"])
    with pytest.raises(InputError, match="no words to measure"):
        direction(words, parse("cats-cat"), [])


@pytest.mark.parametrize("metric", list(Metric))
def test_every_way_of_asking_gives_the_same_number(words: Embedding, metric: Metric) -> None:
    pair = similarity(words, ["king", "queen"], metric).values[0][1]
    alone = {item.token: item.similarity for item in neighbors(words, "king", metric=metric, top=2000).neighbors}
    summed = {item.token: item.similarity for item in analogy(words, parse("king"), metric=metric, top=2000).neighbors}
    assert alone["queen"] == summed["queen"] == pytest.approx(pair, rel=1e-14)
