"""Which tokens of a text a head links: the links of a word, the most striking one, and what the heads mostly do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import InputError
from gptcli.inspection.token_scores import largest
from gptcli.text import listed, quoted

# A link is called striking if it holds at least this much of a query's attention, and this much more than its distance
# and its key explain. A convention, as any such limit is.
STRIKING_WEIGHT, STRIKING_SURPLUS = 0.5, 0.25
Weights = NDArray[np.float32]
_OCCURRENCE = re.compile(r"(.+):([1-9][0-9]{0,5})", re.DOTALL)


@dataclass(frozen=True)
class Link:
    """The attention of one token to another, in one head.

    Attributes:
        layer, head: both from 1.
        query: the position that looks, from 1.
        key: the position that is looked at, from 1.
        weight: its share of the query's attention.
    """

    layer: int
    head: int
    query: int
    key: int
    weight: float


@dataclass(frozen=True)
class WordLinks:
    """The strongest links of one word.

    Attributes:
        word: as requested.
        looks: whether the word looks (``--from``) or is looked at (``--to``).
        positions: of its tokens, from 1.
        occurrence, occurrences: which one of how many in the text.
        links: the strongest first.
    """

    word: str
    looks: bool
    positions: list[int]
    occurrence: int
    occurrences: int
    links: list[Link]


@dataclass(frozen=True)
class TextShares:
    """How a head spreads its attention in one text: shares that sum to 1, averaged over the queries.

    Queries are the positions from the third on: the token before the second one is the first.

    Attributes:
        first_token: on the first position.
        previous_token: on the position before.
        itself: on the query's own position.
        elsewhere: on all others.
    """

    first_token: float
    previous_token: float
    itself: float
    elsewhere: float

    @property
    def largest(self) -> tuple[Literal["first_token", "previous_token", "itself", "elsewhere"], float]:
        """The largest share, by name."""
        names: tuple[Literal["first_token", "previous_token", "itself", "elsewhere"], ...]
        names = ("first_token", "previous_token", "itself", "elsewhere")
        return max(((name, getattr(self, name)) for name in names), key=lambda pair: pair[1])


def shares(pattern: Weights) -> list[TextShares] | None:
    """How each head spreads its attention over a text.

    Args:
        pattern: attention weights, [H, T, T], each row a query.

    Returns:
        One entry a head; None for a text of fewer than three tokens.
    """
    if pattern.shape[-1] < 3:
        return None
    rows = pattern.astype(np.float64)
    first = rows[:, 2:, 0].mean(-1)
    before = rows.diagonal(-1, 1, 2)[:, 1:].mean(-1)
    own = rows.diagonal(0, 1, 2)[:, 2:].mean(-1)
    parts = np.stack([first, before, own, 1 - first - before - own], axis=-1).clip(0, 1)
    return [TextShares(*part) for part in parts.tolist()]


def surplus(pattern: Weights) -> NDArray[np.float64]:
    """How much more attention each link has than its distance and its key explain, [H, T, T].

    From a weight is subtracted the larger of two means over the other queries of the same head: of the weights at the
    same distance, and of those on the same key. What a head does everywhere, such as looking at the token before or
    at the full stop, is therefore near 0. Links to the first token, to the token before and to the query itself, which
    most heads have whatever the text says, are -inf, and so is what the mask hides.

    Args:
        pattern: attention weights, [H, T, T], each row a query.
    """
    length = pattern.shape[-1]
    weights = np.tril(pattern.astype(np.float64), -1)
    weights[:, :, 0] = 0
    positions = np.arange(length)
    distance = (positions[:, None] - positions).clip(min=0)  # [T, T]
    # Distance d has length - 1 - d queries that do not look at the first token; key k has length - 1 - k others.
    others = (length - 2 - positions).clip(min=1)
    by_distance = np.stack([np.bincount(distance.ravel(), one.ravel(), length) for one in weights])
    usual = (by_distance[:, distance] - weights) / others[distance]
    popular = (weights.sum(1, keepdims=True) - weights) / others
    counted = (distance >= 2) & (positions > 0)
    over: NDArray[np.float64] = np.where(counted, weights - np.maximum(usual, popular), -np.inf)
    return over


def striking(patterns: Sequence[tuple[int, int, Weights]]) -> Link | None:
    """The link with the largest surplus, or None if no link is striking.

    Args:
        patterns: layer and head from 1, and attention weights [T, T].
    """
    best: tuple[float, Link] | None = None
    for layer, head, pattern in patterns:
        over = np.where(pattern < STRIKING_WEIGHT, -np.inf, surplus(pattern[None])[0])
        most = float(over.max())
        if most >= STRIKING_SURPLUS and (best is None or most > best[0]):
            query, key = divmod(int(over.argmax()), over.shape[-1])
            best = most, Link(layer, head, query + 1, key + 1, float(pattern[query, key]))
    return None if best is None else best[1]


def word_links(
    patterns: Sequence[tuple[int, int, Weights]],
    tokens: Sequence[bytes],
    looking: Sequence[str],
    seen: Sequence[str],
    most: int,
) -> list[WordLinks]:
    """The strongest links of words.

    Args:
        patterns: layer and head from 1, and attention weights [T, T].
        tokens: the bytes of each.
        looking: words whose attention is followed (``--from``); by default the latest occurrence of each.
        seen: words that are looked at (``--to``); by default the first occurrence. With both, links between them.
        most: how many links to keep for each word.

    Raises:
        InputError: there is no such word in the text, or not as often.
    """
    froms = [(word, *occurrence(word, tokens, "--from", latest=True)) for word in looking]
    tos = [(word, *occurrence(word, tokens, "--to", latest=False)) for word in seen]
    everywhere = list(range(len(tokens)))
    answers: list[WordLinks] = []
    targets = sorted({position for _, positions, _, _ in tos for position in positions}) or everywhere
    for looks, words in ((True, froms), (False, [] if froms else tos)):
        for word, positions, number, count in words:
            rows, columns = (positions, targets) if looks else (everywhere, positions)
            links = _strongest(patterns, rows, columns, most)
            answers.append(WordLinks(word, looks, [each + 1 for each in positions], number, count, links))
    return answers


def _strongest(
    patterns: Sequence[tuple[int, int, Weights]], rows: Sequence[int], columns: Sequence[int], most: int
) -> list[Link]:
    """The largest weights in these rows and columns of all heads, the strongest first."""
    found: list[Link] = []
    for layer, head, pattern in patterns:
        part = pattern[np.ix_(rows, columns)].ravel()
        for place in largest(part[None], most)[0].tolist():
            weight, (row, column) = float(part[place]), divmod(place, len(columns))
            if columns[column] <= rows[row]:
                found.append(Link(layer, head, rows[row] + 1, columns[column] + 1, weight))
    return sorted(found, key=lambda link: -link.weight)[:most]


def occurrence(word: str, tokens: Sequence[bytes], option: str, *, latest: bool) -> tuple[list[int], int, int]:
    """Where a word stands in a text: ``queen``, or ``the:2`` for its second occurrence.

    Args:
        word: as typed; upper and lower case count only if it occurs as it is typed.
        tokens: the bytes of each; a word may be several tokens.
        option: for errors.
        latest: which occurrence a word without a number means: the latest, else the first.

    Returns:
        The positions of its tokens from 0, which occurrence it is from 1, and how many there are.

    Raises:
        InputError: it does not occur, or not as often.
    """
    runs = _runs(word, tokens)
    named = _OCCURRENCE.fullmatch(word)
    if not runs and named:
        runs, number = _runs(named[1], tokens), int(named[2])
        if runs and number > len(runs):
            times = "once" if len(runs) == 1 else f"{len(runs):,} times"
            raise InputError(f"{option} {quoted(word)}: {quoted(named[1])} occurs {times} in the text")
    else:
        number = len(runs) if latest else 1
    if not runs:
        words = list(dict.fromkeys(b"".join(tokens).decode(errors="replace").split()))
        near = get_close_matches(word, words, n=3)
        advice = f"did you mean {' or '.join(near)}?" if near else f"its words are {listed(words, 12)}"
        raise InputError(f"{option} {quoted(word)} is not in the text: {advice}")
    return runs[number - 1], number, len(runs)


def _runs(word: str, tokens: Sequence[bytes]) -> list[list[int]]:
    """The runs of tokens that spell a word, spaces around it aside; in any case, if none is written like it."""
    wanted = word.strip().encode(errors="surrogatepass")
    exact = _spelled(wanted, tokens)
    return exact or _spelled(wanted.lower(), [token.lower() for token in tokens])


def _spelled(wanted: bytes, tokens: Sequence[bytes]) -> list[list[int]]:
    runs: list[list[int]] = []
    for start in range(len(tokens)):
        text, end = b"", start
        while end < len(tokens) and len(text.strip()) < len(wanted):
            text += tokens[end]
            end += 1
        whole = end == len(tokens) or not wanted[-1:].isalnum() or not tokens[end][:1].isalpha()
        if wanted and text.strip() == wanted and tokens[start].strip() and whole:
            runs.append(list(range(start, end)))
    return runs
