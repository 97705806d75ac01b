"""A token with its id, as results list them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Token:
    """A token.

    Attributes:
        id: in the vocabulary.
        token: the bytes that it stands for.
    """

    id: int
    token: bytes


class _Vocabulary(Protocol):
    def token_bytes(self, token: int) -> bytes: ...


def tokens_of(vocabulary: _Vocabulary, ids: Iterable[int]) -> list[Token]:
    """Ids with the bytes that they stand for."""
    return [Token(each, vocabulary.token_bytes(each)) for each in ids]
