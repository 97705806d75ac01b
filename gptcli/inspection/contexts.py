"""One word in several contexts: its vector after every layer, and the similarity of these vectors."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.embedding.matrix import Floats
from gptcli.embedding.metric import Metric
from gptcli.embedding.vectors import pairwise, unit
from gptcli.errors import InputError
from gptcli.inspection.looking import look, unembed
from gptcli.inspection.stream import StreamWeights
from gptcli.inspection.token_scores import Top
from gptcli.system.result import Result
from gptcli.text import clipped, quoted
from gptcli.tokenizer.token import Token, tokens_of

# A bracket, or an escaped one.
_BRACKET = re.compile(r"\\[\[\]\\]|[\[\]]")
_MOST_TEXTS = 200
# Tokens that one answer lists as near to a vector.
_MOST_NEAR = 200_000


@dataclass(frozen=True)
class MarkedText:
    """A text in which one word is marked.

    Attributes:
        text: without the brackets.
        start, end: the marked characters, without spaces at their ends.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Context:
    """A text, read up to its marked word.

    Attributes:
        text: without the brackets.
        start: of the marked characters, from 0.
        end: after the last of them.
        tokens: the tokens of the marked word; the last one's vector is compared.
        position: of that token, from 1.
    """

    text: str
    start: int
    end: int
    tokens: tuple[Token, ...]
    position: int


@dataclass(frozen=True)
class ContextPair:
    """The similarity of two contexts.

    Attributes:
        first: the number of one, from 1.
        second: of the other.
        values: the similarity (or distance) of their vectors, at the embedding and after each layer, [L + 1].
    """

    first: int
    second: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class NearToken:
    """A token near a vector.

    Attributes:
        id: in the vocabulary.
        token: the bytes it stands for.
        similarity: the cosine similarity of its embedding, or its logit, as ``nearest_by`` says.
    """

    id: int
    token: bytes
    similarity: float


@dataclass(frozen=True)
class ContextSimilarities(Result):
    """A word's vectors in several contexts, compared after every layer.

    Attributes:
        model: its name.
        metric: of the values.
        layers: names of the steps: the embedding, and the number of each layer.
        contexts: the texts.
        pairs: every two of them.
        nearest_by: the measure of ``nearest``.
        nearest: the tokens nearest to each vector, [contexts][L + 1][n]; empty if not requested.
        notes: for the user, on how the words were read.
    """

    schema: ClassVar[str] = "gptcli.similarity.in-context/1"

    model: str
    metric: Metric
    layers: tuple[str, ...]
    contexts: tuple[Context, ...]
    pairs: tuple[ContextPair, ...]
    nearest_by: str
    nearest: tuple[tuple[tuple[NearToken, ...], ...], ...]
    notes: tuple[str, ...]

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each two contexts at each layer."""
        for pair in self.pairs:
            for layer, value in zip(self.layers, pair.values, strict=True):
                yield {"first": pair.first, "second": pair.second, "layer": layer, "similarity": value}


def compare_contexts(
    checkpoint: OpenCheckpoint,
    texts: Sequence[str],
    *,
    metric: Metric = Metric.cosine,
    neighbors: int = 0,
    unembedding: bool = False,
) -> ContextSimilarities:
    """Compare the vectors that a marked word has in several contexts, layer by layer.

    A vector is the residual stream at the last token of the marked word: first token plus position, then
    the stream after each layer. Text after the mark does not matter, because a GPT only looks back.

    Args:
        checkpoint: the model and its tokenizer.
        texts: each with one word in brackets.
        metric: how vectors are compared.
        neighbors: tokens to list for each vector.
        unembedding: list tokens by their logit after the final norm, instead of by the cosine similarity of their
            embeddings.

    Raises:
        InputError: fewer than two texts, too many of them or of neighbours, or one without a marked word, with a mark
            inside a token, or longer than the model's context.
    """
    if len(texts) < 2:
        raise InputError('--in-context compares two texts or more: "a fashion [model]" "a machine learning [model]"')
    if len(texts) > _MOST_TEXTS:
        raise InputError(f"--in-context compares each text with each: {len(texts):,} are more than {_MOST_TEXTS}")
    places = len(texts) * (checkpoint.config.n_layer + 1)
    if (listed := places * min(neighbors, checkpoint.n_vocab)) > _MOST_NEAR:
        fitting = max(_MOST_NEAR // places, 1)
        raise InputError(f"--neighbors {neighbors:,} lists {listed:,} tokens: give {fitting:,} at most, or fewer texts")
    located = [_locate(checkpoint, read_mark(text)) for text in texts]
    contexts = tuple(context for context, _ in located)
    vectors = np.stack([marked_vectors(checkpoint, ids) for _, ids in located])  # [contexts, L + 1, C]
    values = np.stack([pairwise(vectors[:, step], metric) for step in range(vectors.shape[1])])
    near = nearest_tokens(checkpoint, vectors, neighbors, unembedding=unembedding) if neighbors else ()
    return ContextSimilarities(
        model=checkpoint.name,
        metric=metric,
        layers=("embedding", *map(str, range(1, vectors.shape[1]))),
        contexts=contexts,
        pairs=tuple(
            ContextPair(a + 1, b + 1, tuple(map(float, values[:, a, b])))
            for a, b in combinations(range(len(contexts)), 2)
        ),
        nearest_by="logit" if unembedding else "cosine similarity with the token embedding",
        nearest=near,
        notes=_notes(contexts),
    )


def read_mark(text: str) -> MarkedText:
    r"""Find the one pair of brackets in a text; ``\[``, ``\]`` and ``\\`` are plain characters.

    Raises:
        InputError: there is no such pair, more than one, or nothing in it.
    """
    plain, brackets, copied = "", [], 0
    for match in _BRACKET.finditer(text):
        plain += text[copied : match.start()]
        if len(match[0]) == 1:
            brackets.append((match[0], len(plain)))
        else:
            plain += match[0][1]
        copied = match.end()
    plain += text[copied:]
    if [bracket for bracket, _ in brackets] != ["[", "]"]:
        raise InputError(
            f"'{clipped(text)}': mark one word with brackets, as in \"a fashion [model]\" (a plain bracket is written "
            "\\[)"
        )
    (_, start), (_, end) = brackets
    marked = plain[start:end]
    if not marked.strip():
        raise InputError(f"'{clipped(text)}': there is no word between the brackets")
    return MarkedText(plain, start + len(marked) - len(marked.lstrip()), end - len(marked) + len(marked.rstrip()))


def marked_vectors(checkpoint: OpenCheckpoint, ids: Sequence[int]) -> Floats:
    """The residual stream at the last of some tokens, before the first layer and after each: [L + 1, C] in float32.

    Raises:
        InputError: there are more tokens than the context holds.
    """
    return look(checkpoint, ids, unchanged=True).stream()[:, -1]


def nearest_tokens(
    checkpoint: OpenCheckpoint, vectors: Floats, count: int, *, unembedding: bool = False
) -> tuple[tuple[tuple[NearToken, ...], ...], ...]:
    """The tokens nearest to each of some vectors [..., steps, C] of the residual stream, nearest first.

    Args:
        checkpoint: the model and its tokens.
        vectors: [contexts, steps, C].
        count: how many for each.
        unembedding: by logit, after the final norm; else by the cosine similarity with the token's embedding as it
            enters the residual stream.
    """
    contexts, steps, width = vectors.shape
    if unembedding:
        best = [_largest_logits(checkpoint, of_context, count) for of_context in vectors]
        rows = [row for top in best for row in top.rows()]
    else:
        rows = list(_largest_cosines(checkpoint, vectors.reshape(-1, width), count).rows())
    near = [
        tuple(
            NearToken(token, checkpoint.tokenizer.token_bytes(token), score)
            for token, score in zip(ids, scores.tolist(), strict=True)
        )
        for ids, scores in rows
    ]
    return tuple(tuple(near[first : first + steps]) for first in range(0, contexts * steps, steps))


def _largest_logits(checkpoint: OpenCheckpoint, points: Floats, count: int) -> Top:
    """Of points [n, C]."""
    best = Top(len(points), count)
    best.add(0, unembed(checkpoint, points)[:, : checkpoint.n_vocab])
    return best


def _largest_cosines(checkpoint: OpenCheckpoint, points: Floats, count: int) -> Top:
    """Of points [n, C] with every token's embedding."""
    weights, best, directions = StreamWeights(checkpoint.what), Top(len(points), count), unit(points)
    for start, stop in weights.blocks():
        best.add(start, directions @ unit(weights.embeddings(range(start, stop))).T)
    return best


def _locate(checkpoint: OpenCheckpoint, marked: MarkedText) -> tuple[Context, list[int]]:
    """The tokens of a marked word, and the ids of the text up to its last one."""

    def ids_of(text: str) -> list[int]:
        return checkpoint.encode_prompt(text) if text else []

    ids, whole = ids_of(marked.text[: marked.end]), ids_of(marked.text)
    if whole[: len(ids)] != ids:
        text, word = clipped(marked.text), clipped(marked.text[marked.start : marked.end])
        raise InputError(f"'{text}': the mark ends inside a token: mark all of the word, not '{word}' of it")
    before = ids_of(marked.text[: marked.start].rstrip())
    first = next((i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))
    first = max(first, len(checkpoint.tokenizer.prefix_ids))
    tokens = tuple(tokens_of(checkpoint.tokenizer, ids[min(first, len(ids) - 1) :]))
    return Context(marked.text, marked.start, marked.end, tokens, len(ids)), ids


def _notes(contexts: Sequence[Context]) -> tuple[str, ...]:
    """Words of several tokens."""
    notes = [
        f"'{clipped(context.text[context.start : context.end])}' is {len(context.tokens)} tokens: the last of them, "
        f"{quoted(context.tokens[-1].token.decode(errors='backslashreplace'), 40)}, stands for it"
        for context in contexts
        if len(context.tokens) > 1
    ]
    return tuple(dict.fromkeys(notes))
