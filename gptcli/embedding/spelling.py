"""Suggestions for a word that is not in a vocabulary."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_MAX_LENGTH = 40


def nearest_spellings(word: str, words: Sequence[str], count: int = 3) -> list[str]:
    """The words with the fewest edits from ``word``, at most two and fewer for short words; earlier words first.

    An edit inserts, deletes or replaces a character, or swaps two neighbours (optimal string alignment distance). It
    is computed for all words at once: 100,000 words take a few hundredths of a second.
    """
    allowed = 1 if len(word) < 4 else 2
    if len(word) > _MAX_LENGTH or not word:
        return []
    near = [row for row, other in enumerate(words) if abs(len(other) - len(word)) <= allowed]
    if not near:
        return []
    distances = edit_distances(word, [words[row] for row in near])
    best = sorted((int(distance), row) for distance, row in zip(distances, near, strict=True) if distance <= allowed)
    return [words[row] for _, row in best[:count]]


def edit_distances(word: str, words: Sequence[str]) -> npt.NDArray[np.int16]:
    """The optimal string alignment distance of a word from each of several.

    The usual table, distance[i][j] between the first i characters of one and the first j of the other, where each
    entry is a whole column: one number for each of ``words``.
    """
    lengths = np.array([len(other) for other in words])
    width = int(lengths.max(initial=0))
    # [position, word], padded with zeros: one position of all words is contiguous.
    letters = np.array(words, dtype=f"<U{max(width, 1)}").view(np.uint32).reshape(len(words), -1).T.copy()
    before: list[npt.NDArray[np.int16]] = []
    previous = [np.full(len(words), j, np.int16) for j in range(width + 1)]
    for i, character in enumerate(map(ord, word), start=1):
        current = [np.full(len(words), i, np.int16)]
        for j in range(1, width + 1):
            same = letters[j - 1] == character
            step = np.minimum(previous[j], current[j - 1]) + np.int16(1)
            step = np.minimum(step, previous[j - 1] + ~same)
            if i > 1 and j > 1:
                swapped = (letters[j - 2] == character) & (letters[j - 1] == ord(word[i - 2]))
                step = np.where(swapped, np.minimum(step, before[j - 2] + np.int16(1)), step)
            current.append(step)
        before, previous = previous, current
    distances: npt.NDArray[np.int16] = np.stack(previous)[lengths, np.arange(len(words))]
    return distances
