"""The picture of ``gptcli compare``: two models side by side, their weights, and what they expect of a text."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gptcli.show.blocks.coloured import ColouredText, ColouredToken
from gptcli.show.blocks.figures import percent
from gptcli.show.blocks.heat import TextLegend
from gptcli.show.blocks.narrow import BARS, Narrowing, narrowing
from gptcli.show.blocks.pictures import Bar, table
from gptcli.show.html.page import Page
from gptcli.show.html.parts import MOST_CELLS, Cell, Legend, Listing, PagePart, Strip
from gptcli.text import size, token_text, visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.measuring.compare import Comparison, Side
    from gptcli.measuring.compare_text import Divergence, TextComparison, TokenComparison
    from gptcli.measuring.compare_weights import TensorDifference, WeightComparison
    from gptcli.show.blocks.rows import Rows

# KL divergences are coloured by their logarithm, from 0.0001 to 10 nats.
_DECADES = (-4, 1)
_LEGEND = Legend(
    "KL divergence", [(f"{10.0**power:g}", (power + 4) / 5) for power in range(_DECADES[0], _DECADES[1] + 1)], "nats"
)
_ENDLESS = 1e9  # stands for an infinite divergence in a bar
# Fields of the configuration that are shown whether they differ or not: gptcli's name, and how it is called here.
_SIZES = {
    "n_layer": "layers",
    "n_head": "heads",
    "n_embd": "width",
    "n_positions": "context",
    "vocab_size": "vocabulary",
}
_TOKEN_COLUMNS = (">position", "token", ">bits A", ">bits B", ">KL", "best A", "best B")
_TENSOR_COLUMNS = ("tensor", ">shape", ">differ", ">largest", ">mean", ">relative")


def draw(comparison: "Comparison", top: int) -> "RenderableType":
    """Both side by side, the tensors that differ most, and the text with the tokens that differ most."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_sides(comparison)]
    if comparison.weights is not None:
        parts += [Text(), Text(_weights(comparison.weights))]
        if changed := _changed(comparison.weights, top):
            parts.append(_tensors(changed))
    if (text := comparison.text) is not None:
        parts.append(Text())
        if text.tokens:
            parts += [_coloured(text), TextLegend(_LEGEND, "below each token: the KL divergence in nats")]
            parts += [Text(), _tokens(text, top)]
        parts.append(_totals(text))
        parts += [Text(line) for line in (_divergence(text.divergence) if text.divergence else ())]
    return Group(*parts)


def draw_page(comparison: "Comparison", top: int) -> Page:
    """The page: pointing at a token shows its figures."""
    facts, parts, text = list(_facts(comparison)), list[PagePart](), comparison.text
    if text is not None and text.tokens:
        names = ("bits in A", "bits in B", "KL divergence", "best in A", "best in B")
        parts.append(Strip("", names, [_cell(token) for token in text.tokens[:MOST_CELLS]], _LEGEND))
        furthest = _furthest(text, top)
        largest = max(min(token.kl, _ENDLESS) for token in furthest) or 1.0
        rows = [(_token_row(token), min(token.kl / largest, 1.0)) for token in furthest]
        parts.append(Listing("Furthest apart" if len(rows) < len(text.tokens) else "In order", _TOKEN_COLUMNS, rows))
    if comparison.weights is not None and (changed := _changed(comparison.weights, top)):
        most = max(map(_relative, changed)) or 1.0
        listed = [(_tensor_row(tensor), _relative(tensor) / most) for tensor in changed]
        parts.append(Listing("Weights that differ most", _TENSOR_COLUMNS, listed))
    return Page(f"{comparison.a.label} and {comparison.b.label}", facts, parts)


def _facts(comparison: "Comparison") -> Iterator[str]:
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        yield f"{letter}: {visible(side.label, keep='')} · {side.family} · {side.parameters:,} parameters"
    if comparison.fields:
        yield "Configuration: " + "; ".join(
            f"{field.name} {_short(field.a)} and {_short(field.b)}" for field in comparison.fields
        )
    if comparison.weights is not None:
        yield _weights(comparison.weights)
    if comparison.text is not None:
        a, b = comparison.text.a, comparison.text.b
        bits = f"Bits a byte: {a.bits_per_byte:.3f} and {b.bits_per_byte:.3f}"
        yield f"{bits} · perplexity {a.perplexity:,.2f} and {b.perplexity:,.2f}"
        if comparison.text.divergence is not None:
            yield from _divergence(comparison.text.divergence)
    yield from (visible(note, keep="") for note in comparison.notes)


def _sides(comparison: "Comparison") -> "Rows":
    made = table("field", "A", "B", "differs")
    for column in made.columns[1:3]:  # long names of models are folded
        column.no_wrap, column.overflow = False, "fold"
    sides = (comparison.a, comparison.b)
    facts = {
        "model": [visible(side.model, keep="") for side in sides],
        "precision": [side.precision for side in sides],
        "family": [side.family for side in sides],
        "parameters": [f"{side.parameters:,}" for side in sides],
        "stored as": [_stored(side) for side in sides],
    }
    facts |= {shown: [f"{getattr(side.config, name):,}" for side in sides] for name, shown in _SIZES.items()}
    others = (field for field in comparison.fields if field.name not in _SIZES)
    facts |= {field.name: [_short(field.a), _short(field.b)] for field in others}
    for name, (a, b) in facts.items():
        made.add_row(name, a, b, "≠" if a != b else "")
    return made


def _stored(side: "Side") -> str:
    return f"{', '.join(side.dtypes)}, {size(side.nbytes)}"


def _short(value: object) -> str:
    """A field's value on one line."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    shown = visible(str(value), keep="")
    return shown if len(shown) <= 40 else f"{shown[:39]}…"


def _weights(weights: "WeightComparison") -> str:
    count = len(weights.tensors)
    apart = sum(tensor.shape_a != tensor.shape_b for tensor in weights.tensors)
    if weights.equal == count:
        return f"Weights: all {count:,} tensors are equal ({weights.numbers:,} numbers)"
    other = f" · {apart:,} have another shape, or are in one only" if apart else ""
    if not weights.numbers:
        return f"Weights: no tensor of {count:,} can be compared{other}"
    return (
        f"Weights: {count - weights.equal - apart:,} of {count:,} tensors differ{other} · "
        f"{percent(weights.differing / weights.numbers)} of {weights.numbers:,} numbers · largest difference "
        f"{weights.largest:.3g} · relative {_ratio(weights.relative)}"
    )


def _changed(weights: "WeightComparison", top: int) -> "list[TensorDifference]":
    """The tensors that differ, the furthest apart first; then those of other shapes. None if all have other shapes."""
    if not weights.numbers:
        return []
    return sorted((tensor for tensor in weights.tensors if not tensor.equal), key=_relative, reverse=True)[:top]


def _relative(tensor: "TensorDifference") -> float:
    return 0.0 if tensor.relative is None else min(tensor.relative, 1.0)


def _tensors(changed: "Sequence[TensorDifference]") -> Narrowing:
    made = table(*_TENSOR_COLUMNS, BARS)
    most = max(map(_relative, changed)) or 1.0
    for tensor in changed:
        made.add_row(*_tensor_row(tensor), Bar(_relative(tensor) / most))
    return narrowing(made, "shape", "mean", BARS, "differ", "largest")


def _tensor_row(tensor: "TensorDifference") -> list[str]:
    name = visible(tensor.name, keep="")
    if tensor.differing is None or tensor.shape_a is None:
        shapes = ("–" if shape is None else _shape(shape) for shape in (tensor.shape_a, tensor.shape_b))
        return [name, " | ".join(shapes), "–", "–", "–", "–"]
    share = tensor.differing / max(math.prod(tensor.shape_a), 1)
    figures = (f"{tensor.largest or 0:.3g}", f"{tensor.mean or 0:.3g}", _ratio(tensor.relative or 0.0))
    return [name, _shape(tensor.shape_a), percent(share), *figures]


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _ratio(value: float) -> str:
    return "∞" if math.isinf(value) else percent(value)


def _coloured(text: "TextComparison") -> ColouredText:
    """Each token on the colour of its divergence; without colour, with its figure below."""
    return ColouredText(
        [ColouredToken(token_text(token.token), _fraction(token.kl), _kl(token.kl)) for token in text.tokens]
    )


def _fraction(kl: float) -> float:
    """The place of a divergence on the colour map."""
    if kl <= 0:
        return 0.0
    low, high = _DECADES
    return 1.0 if math.isinf(kl) else min(max((math.log10(kl) - low) / (high - low), 0.0), 1.0)


def _kl(kl: float) -> str:
    if math.isinf(kl):
        return "∞"
    return f"{kl:.2e}" if 0 < kl < 1e-6 else f"{kl:.2g}" if kl < 0.1 else f"{kl:.2f}"


def _cell(token: "TokenComparison") -> Cell:
    best = (token_text(side.best.token) for side in (token.a, token.b))
    figures = (f"{token.a.surprisal_bits:.2f} bits", f"{token.b.surprisal_bits:.2f} bits", f"{_kl(token.kl)} nats")
    return Cell(token_text(token.token), _fraction(token.kl), (*figures, *best))


def _furthest(text: "TextComparison", top: int) -> "Sequence[TokenComparison]":
    """The tokens in order, or only those furthest apart of a long text."""
    return text.tokens if len(text.tokens) <= top else sorted(text.tokens, key=lambda token: -token.kl)[:top]


def _tokens(text: "TextComparison", top: int) -> Narrowing:
    made = table(*_TOKEN_COLUMNS, BARS)
    shown = _furthest(text, top)
    most = max(min(token.kl, _ENDLESS) for token in shown) or 1.0
    for token in shown:
        made.add_row(*_token_row(token), Bar(min(token.kl / most, 1.0)))
    return narrowing(made, BARS, "position", "best A", "best B")


def _token_row(token: "TokenComparison") -> list[str]:
    bits = (f"{side.surprisal_bits:.2f}" for side in (token.a, token.b))
    best_a, best_b = token.a.best, token.b.best
    other = "=" if (best_a.id, best_a.token) == (best_b.id, best_b.token) else token_text(best_b.token)
    return [f"{token.position:,}", token_text(token.token), *bits, _kl(token.kl), token_text(best_a.token), other]


def _totals(text: "TextComparison") -> "Rows":
    made = table("over the text", ">A", ">B")
    a, b = text.a, text.b
    made.add_row("tokens with a probability", f"{a.tokens:,}", f"{b.tokens:,}")
    made.add_row("bits a token", f"{a.bits_per_token:.4f}", f"{b.bits_per_token:.4f}")
    made.add_row("bits a byte", f"{a.bits_per_byte:.4f}", f"{b.bits_per_byte:.4f}")
    made.add_row("perplexity", f"{a.perplexity:,.3f}", f"{b.perplexity:,.3f}")
    return made


def _divergence(found: "Divergence") -> Iterator[str]:
    """The totals in words."""
    percentiles = " · ".join(f"{name}%: {_kl(value)}" for name, value in found.kl_percentiles.items())
    mean = f"mean {_kl(found.mean_kl)}{_error(found.mean_kl_error)}"
    yield f"KL divergence of B from A in nats: {mean} · largest {_kl(found.largest_kl)}"
    if found.unshared_a or found.unshared_b:
        yield (
            f"That is over the {found.shared_vocabulary:,} tokens that both have: A gives the others "
            f"{percent(found.unshared_a)} of the probability on average, B {percent(found.unshared_b)}"
        )
    yield f"Percentiles: {percentiles}"
    yield f"Same best token: {percent(found.same_best)}"
    yield (
        f"ln p(B) - ln p(A) of the tokens: mean {found.mean_logprob_difference:+.4f}"
        f"{_error(found.mean_logprob_difference_error)}"
    )
    yield (
        f"p(B) - p(A) of the tokens: mean {found.mean_probability_difference:+.2%} · root mean square "
        f"{found.rms_probability_difference:.2%} · from {found.largest_loss:+.2%} to {found.largest_gain:+.2%}"
    )


def _error(error: float | None) -> str:
    return "" if error is None else f" ± {error:.2g}"
