"""A name on the command line -> an embedding: its matrix and its vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gptcli.checkpoint.files.header import Header, TensorInfo
from gptcli.checkpoint.source import Source, find, no_weights
from gptcli.embedding.matrix import Floats, Matrix, map_matrix
from gptcli.embedding.tokens import TokenList
from gptcli.embedding.words import WordList
from gptcli.errors import CheckpointError, GptcliError, InputError
from gptcli.system.limits import limit_reached

WORD_VECTORS = "word-vectors"


class Vocabulary(Protocol):
    """The vocabulary of an embedding: words, or a GPT's tokens."""

    def rows(self, word: str) -> tuple[int, ...]:
        """The rows whose mean is a word's vector; raises InputError for an unknown word."""
        ...

    def has(self, word: str) -> bool:
        """Whether a text as a whole has a row."""
        ...

    def name(self, row: int) -> str | bytes:
        """The word of a row, or the bytes of its token."""
        ...

    def keys(self, count: int) -> tuple[Sequence[str], dict[str, int]]:
        """The keys of the first rows for evaluations: the upper-case form of each, and the row of each form."""
        ...


@dataclass(frozen=True)
class Embedding:
    """Words and their vectors.

    Attributes:
        name: as the user gave it.
        tensor: the matrix's name in the file.
        matrix: a vector a row, [n, d].
        vocabulary: what the rows stand for.
        notes: what should be told about it.
    """

    name: str
    tensor: str
    matrix: Matrix
    vocabulary: Vocabulary
    notes: tuple[str, ...] = ()

    def vector(self, rows: Sequence[int]) -> Floats:
        """The mean of some rows, [d]."""
        mean: Floats = self.matrix.take(rows).mean(axis=0)
        return mean


def open_embedding(
    name: str, *, unembedding: bool = False, leading_space: bool = True, tokenizer: str | None = None
) -> Embedding:
    """Open word vectors, or the token embedding of a GPT. The vectors stay in their file until they are asked for.

    Args:
        name: a bundled name, a folder, or a .safetensors file.
        unembedding: take a GPT's unembedding instead of its embedding.
        leading_space: look words up among a GPT's tokens as they stand inside a sentence, after a space.
        tokenizer: the name of another checkpoint whose tokenizer a GPT's tokens are of; None: its own.

    Raises:
        ModelNotFound: there is nothing of that name.
        CheckpointError: its files are broken or inconsistent.
        InputError: the unembedding of word vectors was asked for.
        GptcliError: there is no memory to map them.
    """
    source = find(name)
    header = source.header
    if header is None:
        raise no_weights(source)
    try:
        return _opened(source, header, unembedding=unembedding, leading_space=leading_space, tokenizer=tokenizer)
    except MemoryError as error:
        raise GptcliError(limit_reached(error)) from error


def _opened(
    source: Source, header: Header, *, unembedding: bool, leading_space: bool, tokenizer: str | None
) -> Embedding:
    if (source.config or {}).get("model_type") == WORD_VECTORS:
        if unembedding:
            raise InputError(f"{source.name} holds word vectors: only a GPT has an unembedding (try -m tales)")
        return _word_vectors(source, header)
    return _gpt(source, header, unembedding=unembedding, leading_space=leading_space, given=tokenizer)


def _word_vectors(source: Source, header: Header) -> Embedding:
    tensor = header.tensors.get("embedding.weight") or _only_matrix(header, source.folder)
    matrix = map_matrix(tensor)
    vocabulary = WordList(source.folder / "vocab.txt", lowercase=bool((source.config or {}).get("lowercase", False)))
    if len(vocabulary) != matrix.shape[0]:
        raise CheckpointError(
            f"{vocabulary.path} has {len(vocabulary):,} words, but {tensor.name} has {matrix.shape[0]:,} rows"
        )
    return Embedding(source.name, tensor.name, matrix, vocabulary)


def _only_matrix(header: Header, folder: Path) -> TensorInfo:
    matrices = [tensor for tensor in header.tensors.values() if len(tensor.shape) == 2]
    if len(matrices) != 1:
        raise CheckpointError(f"{folder} has {len(matrices)} matrices, and none is named embedding.weight")
    return matrices[0]


def _gpt(source: Source, header: Header, *, unembedding: bool, leading_space: bool, given: str | None) -> Embedding:
    from gptcli.checkpoint.families import read_blueprint
    from gptcli.checkpoint.tokenizers import tokenizer_of

    # One head fits any width; the number of heads does not matter here.
    blueprint = read_blueprint(source, header, n_head=1 if source.config is None else None)
    # A model without lm_head has tied embeddings.
    ours = "lm_head.weight" if unembedding and "lm_head.weight" in blueprint.tensors else "wte.weight"
    tensor = header.tensors[blueprint.tensors[ours].keys[0]]
    matrix = map_matrix(tensor)
    tokenizer, notes = tokenizer_of(source, matrix.shape[0], given)
    vocabulary = TokenList(tokenizer, matrix.shape[0], leading_space=leading_space)
    return Embedding(source.name, tensor.name, matrix, vocabulary, notes)
