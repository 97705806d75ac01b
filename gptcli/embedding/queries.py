"""The queries that the commands make: words in, words and figures out."""

import re
from collections.abc import Sequence
from dataclasses import fields, replace

from gptcli.embedding.answers import Analogy, Direction, Neighbor, Neighbors, Product, QueryWord, Row, Similarities
from gptcli.embedding.expression import Expression, Term, check_length, parse
from gptcli.embedding.load import Embedding
from gptcli.embedding.matrix import Doubles, Floats
from gptcli.embedding.metric import Method, Metric
from gptcli.embedding.vectors import nearest, pairwise, product_scores, rank, weighted_sum
from gptcli.errors import InputError
from gptcli.text import clipped, quoted_few

# The most words compared with each other: four million figures take some 130 MB as Python's numbers.
MOST_COMPARED = 2000
_ARITHMETIC = re.compile(r"[-+*/()\"'−×÷]")


def analogy(
    embedding: Embedding,
    expression: Expression,
    *,
    metric: Metric = Metric.cosine,
    method: Method = Method.add,
    top: int = 10,
    restrict: int | None = None,
    keep_query: bool = False,
) -> Analogy:
    """The words nearest to the value of an expression: gensim's ``most_similar`` and ``most_similar_cosmul``.

    Args:
        embedding: to search.
        expression: words with weights.
        metric: cosine adds and compares vectors of length 1; the others take the vectors as they are.
        method: sum, or product (of cosines).
        top: how many words to return.
        restrict: search the first rows only, the most frequent words where the vocabulary is in that order.
        keep_query: do not leave out the query's words; they are returned whatever their rank.

    Raises:
        InputError: an unknown word, or a combination of options or words that has no answer.
    """
    if method is Method.mul and metric is not Metric.cosine:
        raise InputError(f"--method mul multiplies cosine similarities: it does not go with --metric {metric.value}")
    words = _query_words(embedding, expression.terms)
    vectors = _stack(embedding, words)
    weights = [word.weight for word in words]
    own = {row for word in words for row in word.ids}
    most = top + len(own)
    if method is Method.mul:
        found = rank(product_scores(embedding.matrix, vectors, weights, restrict), metric, most, also=own)
    else:
        point = weighted_sum(vectors, weights, metric)
        found = nearest(embedding.matrix, point, metric, most, restrict, also=own)
    listed = [
        Neighbor(item.rank, item.row, embedding.vocabulary.name(item.row), item.score, item.row in own)
        for item in found
    ]
    others = [replace(item, rank=place) for place, item in enumerate((i for i in listed if not i.in_query), start=1)]
    return Analogy(
        embedding.name,
        embedding.tensor,
        expression.text,
        words,
        metric,
        method,
        embedding.matrix.count(restrict),
        tuple(item for item in listed if item.rank <= top or item.in_query) if keep_query else tuple(others[:top]),
        notes_on(embedding, words, [expression]),
        () if keep_query else tuple(item for item in listed if item.in_query),
    )


def neighbors(
    embedding: Embedding,
    word: str,
    *,
    metric: Metric = Metric.cosine,
    top: int = 10,
    restrict: int | None = None,
    keep_query: bool = False,
) -> Neighbors:
    """The words nearest to one word, taken as typed: gensim's ``similar_by_word``.

    Raises:
        InputError: the word is unknown.
    """
    check_length(word)
    lone = Expression(word, (Term(word),))
    found = analogy(embedding, lone, metric=metric, top=top, restrict=restrict, keep_query=keep_query)
    return Neighbors(**{each.name: getattr(found, each.name) for each in fields(Neighbors)})


def similarity(embedding: Embedding, texts: Sequence[str], metric: Metric = Metric.cosine) -> Similarities:
    """The similarity of each of two or more words, or expressions, with each.

    Raises:
        InputError: fewer than two or more than 2,000, or an unknown word.
        ExpressionError: one of them is neither a word nor an expression.
    """
    if len(texts) < 2:
        raise InputError("similarity compares two words or more: gptcli similarity king queen")
    if len(texts) > MOST_COMPARED:
        raise InputError(
            f"{len(texts):,} words are {len(texts) ** 2:,} similarities: give {MOST_COMPARED:,} words at most (the "
            "words nearest to one: gptcli neighbors; many along one direction: gptcli direction)"
        )
    expressions = [read_word(embedding, text) for text in texts]
    points, words = points_of(embedding, expressions)
    values = tuple(tuple(map(float, row)) for row in pairwise(points, metric))
    return Similarities(
        embedding.name, embedding.tensor, metric, tuple(texts), words, values, notes_on(embedding, words, expressions)
    )


def direction(embedding: Embedding, expression: Expression, texts: Sequence[str], *, sort: bool = True) -> Direction:
    """The dot product of words with a direction in the embedding, vectors as they are.

    Args:
        embedding: of the words.
        expression: the direction, such as cats - cat.
        texts: the words to measure, or expressions.
        sort: largest first, instead of the order given.

    Raises:
        InputError: no words, or an unknown one.
        ExpressionError: one of ``texts`` is neither a word nor an expression.
    """
    if not texts:
        raise InputError("there are no words to measure: gptcli direction cats-cat puppy puppies")
    expressions = [expression, *(read_word(embedding, text) for text in texts)]
    points, words = points_of(embedding, expressions)
    products = [Product(text, float(dot)) for text, dot in zip(texts, points[1:] @ points[0], strict=True)]
    if sort:
        products.sort(key=lambda product: -product.dot)
    return Direction(
        embedding.name,
        embedding.tensor,
        expression.text,
        words,
        tuple(products),
        notes_on(embedding, words, expressions),
    )


def read_word(embedding: Embedding, text: str) -> Expression:
    """A word if the vocabulary has the whole text or the text has no operator, else an expression."""
    check_length(text)
    if embedding.vocabulary.has(text) or not _ARITHMETIC.search(text):
        return Expression(text, (Term(text),))
    return parse(text)


def points_of(embedding: Embedding, expressions: Sequence[Expression]) -> tuple[Doubles, tuple[QueryWord, ...]]:
    """The value of each expression, [k, d], and their words, each once."""
    import numpy as np

    read = [_query_words(embedding, expression.terms) for expression in expressions]
    points = [weighted_sum(_stack(embedding, words), [w.weight for w in words], Metric.dot) for words in read]
    return np.stack(points), tuple(dict.fromkeys(word for words in read for word in words))


def _query_words(embedding: Embedding, terms: Sequence[Term]) -> tuple[QueryWord, ...]:
    vocabulary = embedding.vocabulary
    rows = [vocabulary.rows(term.word) for term in terms]
    return tuple(
        QueryWord(term.word, term.weight, tuple(Row(each, vocabulary.name(each)) for each in ids))
        for term, ids in zip(terms, rows, strict=True)
    )


def notes_on(embedding: Embedding, words: Sequence[QueryWord], expressions: Sequence[Expression]) -> tuple[str, ...]:
    """Notes on words of several tokens, and on expressions that are also a word."""
    several = {word.word: word.tokens for word in words if len(word.tokens) > 1}
    notes = [
        f"'{clipped(word)}' is {len(tokens):,} tokens, {_listed(tokens)}: their mean stands for it"
        for word, tokens in several.items()
    ]
    notes += [
        f"{clipped(expression.text)} is read as arithmetic: put it in quotes inside the quotes for the word of that "
        "name"
        for expression in expressions
        if len(expression.terms) > 1 and embedding.vocabulary.has(expression.text)
    ]
    return tuple(notes)


def _listed(rows: Sequence[Row]) -> str:
    tokens = [row.token for row in rows]
    texts = (t.decode(errors="backslashreplace") if isinstance(t, bytes) else t for t in tokens)
    return quoted_few(texts, len(tokens))


def _stack(embedding: Embedding, words: Sequence[QueryWord]) -> Floats:
    import numpy as np

    return np.stack([embedding.vector(word.ids) for word in words])
