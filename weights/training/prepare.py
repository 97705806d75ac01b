"""A corpus -> ids on disk: what is held out, what nearly repeats it, and the vocabulary."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from weights.training.checkpoint import stored_vocab
from weights.training.vocabulary import END, compact_tokenizer, frequent_tokens, rows, token_counts

RUN = 10  # words in the runs by which near-duplicates are known


def prepare(
    corpus: Annotated[list[Path], typer.Argument(help="Text files, documents separated by <|endoftext|>.")],
    out: Annotated[Path, typer.Option(help="Folder for the encoded corpus.")],
    held_out: Annotated[Path | None, typer.Option(help="Table of what to hold out: sha256 in the last column.")] = None,
    min_count: Annotated[int, typer.Option(help="Keep the tokens seen at least so often.")] = 80,
    vocab_from: Annotated[Path | None, typer.Option(help="Keep the tokens of this checkpoint instead.")] = None,
    duplicate: Annotated[float, typer.Option(help="Leave out documents that share more 10-word runs than this.")] = 0.1,
) -> None:
    """Encode a corpus; hold out what the table lists, and leave out what nearly repeats it."""
    documents = {path.stem: read_documents(path) for path in corpus}
    known = _sha256s(held_out) if held_out else drawn(documents)
    held = [(name, text) for name, texts in documents.items() for text in texts if sha256(text) in known]
    runs = set[int]().union(*(word_runs(text) for _, text in held))
    kept = {
        name: [text for text in texts if sha256(text) not in known and shared(text, runs) <= duplicate]
        for name, texts in documents.items()
    }
    dropped = sum(map(len, documents.values())) - sum(map(len, kept.values())) - len(held)
    counts = token_counts(kept)
    tokens = stored_vocab(vocab_from) if vocab_from else frequent_tokens(counts, min_count)
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "counts.npy", counts)
    np.save(out / "vocab.npy", tokens)
    (out / "held_out.jsonl").write_text("".join(json.dumps({"file": f, "text": t}) + "\n" for f, t in held))
    tokenizer, row_of = compact_tokenizer(tokens), rows(tokens)
    for name, texts in kept.items():
        ids = row_of[[i for text in texts for i in (END, *tokenizer.encode(text))]].astype(np.uint16)
        np.save(out / f"{name}.npy", ids)
        print(f"{name}: {len(texts):,} documents, {len(ids):,} tokens")
    print(f"{len(tokens):,} tokens kept; held out {len(held)} documents, left out {dropped} that nearly repeat them")


def read_documents(path: Path) -> list[str]:
    """The documents of a text file, stripped."""
    texts = path.read_text(encoding="utf-8").split("<|endoftext|>")
    return [text.strip() for text in texts if text.strip()]


def sha256(text: str) -> str:
    """How held-out documents are known."""
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256s(table: Path) -> set[str]:
    with table.open(newline="", encoding="utf-8") as file:
        return {row[-1] for row in csv.reader(file, delimiter="\t")}


def drawn(documents: dict[str, list[str]]) -> set[str]:
    """One document in a hundred, at least one: those of the lowest hashes, so that the same ones are drawn again."""
    hashes = sorted({sha256(text) for texts in documents.values() for text in texts})
    return set(hashes[: max(len(hashes) // 100, 1)])


def word_runs(text: str) -> set[int]:
    """Hashes of all runs of ten words."""
    words = text.lower().split()
    return {hash(tuple(words[i : i + RUN])) for i in range(len(words) - RUN + 1)}


def shared(text: str, runs: set[int]) -> float:
    """Which share of a text's runs is among ``runs``."""
    own = word_runs(text)
    return len(own & runs) / max(len(own), 1)
