"""An excerpt of the documents that the bundled model never saw, and how it reads them."""

from pathlib import Path
from typing import Any

import numpy as np

from gptcli.sampling.softmax import log_softmax

END = 50256


def held_out_ids(tokenizer: Any) -> list[list[int]]:
    """Twenty simple stories and five pieces of old tales, each after <|endoftext|>, at most 256 tokens."""
    text = (Path(__file__).parent / "held_out.txt").read_text()
    return [[END, *tokenizer.encode(document.strip())][:256] for document in text.split("<|endoftext|>")]


def perplexity(engine: Any, documents: list[list[int]]) -> float:
    """exp of the mean surprisal, in nats, of all tokens but each document's first two."""
    surprisals: list[float] = []
    for ids in documents:
        engine.prefill([ids[:1]], 256)
        logits = log_softmax(engine.extend(ids[1:-1]))
        surprisals += (-logits[np.arange(len(ids) - 2), ids[2:]]).tolist()
    return float(np.exp(np.mean(surprisals)))
