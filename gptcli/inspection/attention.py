"""Where the heads of a model look while it reads a text: attention weights, or the scores before the softmax."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.inspection.heads import THRESHOLD, HeadLabel, label_heads
from gptcli.inspection.record import record
from gptcli.system.answer import MaybeInfinite
from gptcli.text import clipped, quoted
from gptcli.tokenizer.token import Token, tokens_of

# The most figures of one result: 4 million are 48 heads that read 288 tokens, and about 100 MB as Python's numbers.
MOST_FIGURES = 4_000_000
# With up to this many heads all are shown by default; with more, the first layer.
_HEADS_UNASKED = 32


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
    """

    layer: int
    head: int
    window: int | None
    label: HeadLabel | None
    values: list[list[MaybeInfinite]]
    key_head: int | None = None

    def sees(self, query: int, key: int) -> bool:
        """Whether the mask lets one position look at another."""
        return key <= query and (self.window is None or query - key < self.window)


@dataclass(frozen=True)
class Attention:
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
        heads: those requested, by layer and head.
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
    run = record(checkpoint.model, ids)
    named = label_heads(checkpoint.model, checkpoint.n_vocab)

    def looking() -> Iterator[HeadAttention]:
        for layer in chosen_layers:
            figures = run.layers[layer - 1].scores if scores else run.layers[layer - 1].pattern  # [H, T, T]
            for head in chosen_heads:
                label = None if named is None else named[layer - 1][head - 1]
                values = _values(figures[head - 1], columns=columns)
                key_head = config.key_head(head - 1)
                shared = None if key_head is None else key_head + 1
                yield HeadAttention(layer, head, config.window(layer - 1), label, values, shared)

    return Attention(
        model=checkpoint.name,
        prompt=prompt,
        tokens=tokens_of(checkpoint.tokenizer, ids),
        quantity="scores" if scores else "weights",
        rows="keys" if columns else "queries",
        n_layer=config.n_layer,
        n_head=config.n_head,
        named_from=THRESHOLD,
        heads=list(looking()),
    )


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


def _check_size(length: int, context: int, n_heads: int) -> None:
    if length <= context and length**2 * n_heads > MOST_FIGURES:
        one = int(MOST_FIGURES**0.5)
        fitting = MOST_FIGURES // length**2
        advice = f"choose at most {fitting:,} with --layer and --head" if fitting else f"{one:,} are the most for one"
        raise InputError(
            f"{length:,} tokens and {n_heads:,} heads make {length**2 * n_heads:,} figures, more than "
            f"{MOST_FIGURES:,}: {advice}, or shorten the text"
        )


def _values(figures: Tensor, *, columns: bool) -> list[list[float]]:
    """[T, T] as lists, a row for each query; transposed if queries are to be columns."""
    values: list[list[float]] = (figures.mT if columns else figures).cpu().tolist()
    return values
