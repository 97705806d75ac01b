"""What ``prepare`` wrote, read again: sequences in a random order, held-out texts, how often each token comes."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

Ids = NDArray[np.uint16]


def ids_of(data: Path) -> dict[str, NDArray[Any]]:
    """The ids of each file of the corpus, mapped."""
    names = sorted(path.stem for path in data.glob("*.npy") if path.stem not in ("vocab", "counts"))
    return {name: np.load(data / f"{name}.npy", mmap_mode="r") for name in names}


class Stream:
    """The corpus as sequences in a random order that depends on the seed, the sequence length and the epoch only.

    Args:
        files: ids of each file.
        shares: how often an epoch reads each file (a fraction: of its sequences, drawn again each epoch); without an
            entry once, or not at all where others have one.
        sequence: tokens of a sequence.
        seed: of the order.
    """

    def __init__(self, files: dict[str, NDArray[Any]], shares: dict[str, float], sequence: int, seed: int) -> None:
        if unknown := shares.keys() - files.keys():
            raise typer.BadParameter(f"the data has no {', '.join(sorted(unknown))}: it has {', '.join(files)}")
        self.shares = shares or dict.fromkeys(files, 1.0)
        self.files = [files[name] for name in self.shares]
        self.sequence, self.seed = sequence, seed

    def sequences(self, position: int) -> Iterator[Ids]:
        """Sequences of one token more than ``sequence``, from ``position`` on, without end."""
        epoch = 0
        while True:
            order = self._order(epoch)
            if not len(order):
                raise typer.BadParameter(f"the data has no sequence of {self.sequence + 1} tokens")
            for file, first in order[position:]:
                yield np.asarray(self.files[file][first : first + self.sequence + 1])
            position = max(position - len(order), 0)
            epoch += 1

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """(file, first token) of each sequence of an epoch; every pass over a file cuts it at other places."""
        length = self.sequence
        rng = np.random.default_rng([self.seed, length, epoch])
        parts = []
        for file, (ids, share) in enumerate(zip(self.files, self.shares.values(), strict=True)):
            for done in range(math.ceil(share)):
                firsts = np.arange(rng.integers(length), len(ids) - length, length)
                firsts = rng.permutation(firsts)[: round(min(share - done, 1) * len(firsts))]
                parts.append(np.stack([np.full_like(firsts, file), firsts], axis=1))
        return rng.permutation(np.concatenate(parts))


def token_shares(data: Path) -> NDArray[np.float64]:
    """How often each of GPT-2's tokens stands in the training text, as a share of all: [50257]."""
    counts = np.load(data / "counts.npy")
    return np.asarray(counts / counts.sum())


def held_out_texts(data: Path, among: str = "") -> list[str]:
    """The held-out documents (of the files named in ``among``)."""
    lines = [json.loads(line) for line in (data / "held_out.jsonl").read_text().splitlines()]
    return [line["text"] for line in lines if not among or line["file"] in among.split()]
