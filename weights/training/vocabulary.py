"""Which of GPT-2's tokens are trained: a compact vocabulary, and text encoded with it."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gptcli.tokenizer import AddedToken, RankTokenizer, gpt2_tokenizer

END = 50256  # <|endoftext|>: comes before each document, and so between them
N_VOCAB = 50257


def token_counts(documents: dict[str, list[str]]) -> NDArray[np.int64]:
    """How often each of GPT-2's tokens stands in the documents: [50257]."""
    counts = np.zeros(N_VOCAB, np.int64)
    for texts in documents.values():
        for text in texts:
            np.add.at(counts, [END, *gpt2_tokenizer().encode(text)], 1)
    return counts


def frequent_tokens(counts: NDArray[np.int64], min_count: int) -> NDArray[np.int32]:
    """The ids seen at least ``min_count`` times, all single bytes, and the end of a text: ascending."""
    tokenizer = gpt2_tokenizer()
    single = [token for token in range(END) if len(tokenizer.token_bytes(token)) == 1]
    return np.unique([*np.flatnonzero(counts >= min_count), *single, END]).astype(np.int32)


def compact_tokenizer(tokens: Iterable[int]) -> RankTokenizer:
    """GPT-2's byte-pair encoding with some of its ranks only: it still encodes any text, in more tokens."""
    full = gpt2_tokenizer()
    ranks = {full.token_bytes(int(token)): int(token) for token in tokens if token != END}
    return RankTokenizer("compact", ranks, full.pattern, added=[AddedToken("<|endoftext|>", END)])


def rows(tokens: NDArray[np.int32]) -> NDArray[np.int64]:
    """GPT-2 token -> row of the compact embedding, -1 where it has none: [50257]."""
    row_of = np.full(N_VOCAB, -1)
    row_of[tokens] = np.arange(len(tokens))
    return row_of


def spell(data: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Byte-pair encoding of some bytes: join the two neighbours of the lowest rank until none has one."""
    parts = [data[i : i + 1] for i in range(len(data))]
    while True:
        joined = [(ranks.get(a + b, END), i) for i, (a, b) in enumerate(pairwise(parts))]
        rank, i = min(joined, default=(END, 0))
        if rank == END:
            return [ranks[part] for part in parts]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
