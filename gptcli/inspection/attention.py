"""Where the heads of a model look while it reads a text: attention weights, or the scores before the softmax."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.inspection.heads import THRESHOLD, HeadLabel, label_heads
from gptcli.inspection.links import Link, TextShares, WordLinks, occurrence, shares, striking, word_links
from gptcli.inspection.looking import Looking, look
from gptcli.system.answer import MaybeInfinite, left_out, row_of
from gptcli.system.result import Result
from gptcli.text import clipped, quoted
from gptcli.tokenizer.token import Token, tokens_of

# The most figures of one result: 4 million are 48 heads that read 288 tokens, and about 100 MB as Python's numbers.
MOST_FIGURES = 4_000_000
# The most weights among which the strongest links are looked for: 400 MB.
MOST_COMPARED = 100_000_000
# With up to this many heads all are shown by default; with more, the first layer.
_HEADS_UNASKED = 40


@dataclass(frozen=True)
class HeadAttention:
    """The attention of one head.

    Attributes:
        layer: from 1.
        head: from 1.
        window: how many of the latest positions it sees, its own included; None for all.
        label: what kind of head it is; None where that cannot be measured.
        values: [T][T]; ``Attention.rows`` says what the rows are.
        key_head: the head whose keys and values it shares with other heads, from 1; None where it has its own.
        in_text: how it spreads its attention in this text; None for a text of fewer than three tokens.
    """

    layer: int
    head: int
    window: int | None
    label: HeadLabel | None
    values: list[list[MaybeInfinite]]
    key_head: int | None = None
    in_text: TextShares | None = None

    def sees(self, query: int, key: int) -> bool:
        """Whether the mask lets one position look at another."""
        return key <= query and (self.window is None or query - key < self.window)


@dataclass(frozen=True)
class Attention(Result):
    """Where the heads of a model look while it reads a text.

    Attributes:
        model: its name.
        prompt: the text.
        tokens: its tokens.
        quantity: ``weights``, which sum to 1 for each query (the looking position) and are 0 where the mask is; or
            ``scores``, from before the softmax, -inf (null in JSON) where the mask is.
        rows: the rows of ``values`` are ``queries``, which look, or ``keys``, which are looked at.
        n_layer: layers of the model.
        n_head: heads of each.
        named_from: the score from which a head has a name.
        heads: those requested, by layer and head; none where the links of words are.
        striking: the most striking link of these heads, if there is one (see ``links.striking``).
        in_text: how these heads spread their attention on average; None for a text of fewer than three tokens.
        links: of the words that were asked for.
        changes: what was changed in the model, as typed; None: nothing.
    """

    schema: ClassVar[str] = "gptcli.attention/1"

    model: str
    prompt: str
    tokens: list[Token]
    quantity: Literal["weights", "scores"]
    rows: Literal["queries", "keys"]
    n_layer: int
    n_head: int
    named_from: float
    heads: list[HeadAttention]
    striking: Link | None = None
    in_text: TextShares | None = None
    links: list[WordLinks] = field(default_factory=list)
    changes: list[str] | None = left_out()

    @property
    def texts(self) -> list[bytes]:
        """The bytes of each token."""
        return [each.token for each in self.tokens]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.float32]:
        """The figures: [layers, heads, T, T]."""
        size = len(self.tokens)
        layers = len({head.layer for head in self.heads})
        whole = np.array([head.values for head in self.heads], dtype=dtype or np.float32)
        return whole.reshape(layers, len(self.heads) // max(layers, 1), size, size)

    def __getitem__(self, index: Any) -> Any:
        """A part of the array: ``[layer, head]``, both from 0, is a head's figures."""
        return np.asarray(self)[index]

    def __sub__(self, other: Any) -> NDArray[np.float32]:
        """How it differs from another, of another model or text: an array.

        Raises:
            InputError: the two have other layers, heads or numbers of tokens.
        """
        here, there = np.asarray(self), np.asarray(other)
        if there.ndim and here.shape != there.shape:
            shapes = " and ".join(" x ".join(map(str, each.shape)) for each in (here, there))
            raise InputError(f"one attention less another needs the same layers, heads and number of tokens: {shapes}")
        less: NDArray[np.float32] = here - there
        return less

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each token that looks and each that it may look at, in each head; or for each link of a word."""
        if self.links:
            for word in self.links:
                for link in word.links:
                    yield {"word": word.word, **row_of(link)}
        for head in self.heads:
            for query, key in ((i, j) for i in range(len(self.tokens)) for j in range(i + 1)):
                if head.sees(query, key):
                    value = head.values[query][key] if self.rows == "queries" else head.values[key][query]
                    yield {"layer": head.layer, "head": head.head, "query": query + 1, "key": key + 1, "value": value}


def attention(
    checkpoint: OpenCheckpoint,
    prompt: str,
    *,
    layers: str | None = None,
    heads: str = "all",
    scores: bool = False,
    columns: bool = False,
) -> Attention:
    """Read a text and say where the heads look.

    Args:
        checkpoint: the model and its tokenizer.
        prompt: the text.
        layers, heads: numbers from 1, as in ``3``, ``1,4`` or ``2-5``, or ``all``. By default all layers of a
            small model, else the first.
        scores: the scores before the softmax (Vaswani et al. 2017, equation 1) instead of the weights.
        columns: queries as columns, as in 3Blue1Brown's "Attention in transformers" (2024), instead of rows.

    Raises:
        InputError: there is no such layer or head, the prompt does not fit into the context, or the result would
            hold more than ``MOST_FIGURES`` figures.
    """
    config = checkpoint.config
    chosen_heads = chosen(heads, config.n_head, "head")
    few = config.n_layer * len(chosen_heads) <= _HEADS_UNASKED
    chosen_layers = chosen(layers or ("all" if few else "1"), config.n_layer, "layer")
    ids = checkpoint.encode_prompt(prompt)
    _check_size(len(ids), config.n_positions, len(chosen_layers) * len(chosen_heads))
    run = look(checkpoint, ids)
    named = label_heads(checkpoint)
    patterns = list(_patterns(run, chosen_layers, chosen_heads))

    def looking() -> Iterator[HeadAttention]:
        for layer, head, pattern in patterns:
            label = None if named is None else named[layer - 1][head - 1]
            figures = run.scores(layer - 1)[head - 1] if scores else pattern
            key_head = config.key_head(head - 1)
            shared = None if key_head is None else key_head + 1
            here = shares(pattern[None])
            yield HeadAttention(
                layer,
                head,
                config.window(layer - 1),
                label,
                _values(figures, columns=columns),
                shared,
                None if here is None else here[0],
            )

    return Attention(
        model=checkpoint.name,
        prompt=prompt,
        tokens=tokens_of(checkpoint.tokenizer, ids),
        quantity="scores" if scores else "weights",
        rows="keys" if columns else "queries",
        n_layer=config.n_layer,
        n_head=config.n_head,
        named_from=THRESHOLD,
        changes=checkpoint.told_changes,
        heads=list(looking()),
        striking=striking(patterns),
        in_text=_on_average(patterns),
    )


def linked(
    checkpoint: OpenCheckpoint,
    prompt: str,
    looking: Sequence[str],
    seen: Sequence[str],
    *,
    layers: str | None = None,
    heads: str = "all",
    most: int = 10,
) -> Attention:
    """Read a text and say to which tokens some of its words are linked most.

    Args:
        checkpoint: the model and its tokenizer.
        prompt: the text.
        looking, seen: words that look, and words that are looked at; with both, the links between them.
        layers, heads: as in ``attention``, by default all.
        most: how many links to keep for each word.

    Raises:
        InputError: there is no such layer, head or word, or the prompt does not fit into the context.
    """
    config = checkpoint.config
    chosen_heads, chosen_layers = chosen(heads, config.n_head, "head"), chosen(layers or "all", config.n_layer, "layer")
    ids = checkpoint.encode_prompt(prompt)
    tokens = [checkpoint.tokenizer.token_bytes(token) for token in ids]
    for words, option, latest in ((looking, "--from", True), (seen, "--to", False)):
        for word in words:
            occurrence(word, tokens, option, latest=latest)  # an error, before the model runs
    _check_size(len(ids), config.n_positions, len(chosen_layers) * len(chosen_heads), MOST_COMPARED)
    patterns = list(_patterns(look(checkpoint, ids), chosen_layers, chosen_heads))
    return Attention(
        model=checkpoint.name,
        prompt=prompt,
        tokens=tokens_of(checkpoint.tokenizer, ids),
        quantity="weights",
        rows="queries",
        n_layer=config.n_layer,
        n_head=config.n_head,
        named_from=THRESHOLD,
        changes=checkpoint.told_changes,
        heads=[],
        striking=striking(patterns),
        in_text=_on_average(patterns),
        links=word_links(patterns, tokens, looking, seen, most),
    )


def _patterns(
    run: Looking, layers: Sequence[int], heads: Sequence[int]
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Layer and head from 1, and the attention weights [T, T]."""
    for layer in layers:
        pattern = run.pattern(layer - 1)  # [H, T, T]
        for head in heads:
            yield layer, head, pattern[head - 1]


def _on_average(patterns: Sequence[tuple[int, int, NDArray[np.float32]]]) -> TextShares | None:
    """How these heads spread their attention, the mean of all."""
    spread = [each for _, _, pattern in patterns for each in shares(pattern[None]) or ()]
    if not spread:
        return None
    names = ("first_token", "previous_token", "itself", "elsewhere")
    return TextShares(*(sum(getattr(each, name) for each in spread) / len(spread) for name in names))


def chosen(text: str, count: int, name: str) -> list[int]:
    """Parse a choice of layers or heads: ``3``, ``1,4``, ``2-5``, ``1,4-6`` or ``all``.

    Args:
        text: as typed.
        count: how many there are, numbered from 1.
        name: of the option: ``layer`` or ``head``.

    Raises:
        InputError: it is none of these, or there is no such number.
    """
    if not count:
        raise InputError(f"this model has no {name}s to look at")
    if text.strip().lower() == "all":
        return list(range(1, count + 1))
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = (end.strip() for end in part.partition("-"))
        ends = [first, last if dash else first]
        if not all(end.isascii() and end.isdigit() for end in ends):
            wanted = "write a number, a list such as 1,3, a range such as 1-3, or all"
            raise InputError(f"--{name} {quoted(text)}: {wanted}")
        low, high = (int(end[:9]) for end in ends)
        if not 1 <= low <= count or not 1 <= high <= count:
            raise InputError(f"--{name} {clipped(text)}: this model has {name}s 1 to {count}")
        if low > high:
            raise InputError(f"--{name} {clipped(text)}: the range {low}-{high} runs backwards: write {high}-{low}")
        numbers.update(range(low, high + 1))
    return sorted(numbers)


def _check_size(length: int, context: int, n_heads: int, most: int | None = None) -> None:
    most = MOST_FIGURES if most is None else most
    if length <= context and length**2 * n_heads > most:
        one = int(most**0.5)
        fitting = most // length**2
        advice = f"choose at most {fitting:,} with --layer and --head" if fitting else f"{one:,} are the most for one"
        raise InputError(
            f"{length:,} tokens and {n_heads:,} heads make {length**2 * n_heads:,} figures, more than "
            f"{most:,}: {advice}, or shorten the text (| gptcli tokenize --truncate {min(one, length // 2):,})"
        )


def _values(figures: NDArray[np.float32], *, columns: bool) -> list[list[float]]:
    """[T, T] as lists, a row for each query; transposed if queries are to be columns."""
    values: list[list[float]] = (figures.T if columns else figures).tolist()
    return values
