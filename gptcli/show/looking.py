"""Where heads look, in sentences: what is most striking in a text, and what the heads mostly do."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptcli.text import token_text

if TYPE_CHECKING:
    from gptcli.inspection.attention import Attention, HeadAttention
    from gptcli.inspection.heads import HeadLabel
    from gptcli.inspection.links import Link, TextShares

# The parts of a head's attention in a text.
PARTS = {
    "first_token": "first token",
    "previous_token": "token before",
    "itself": "itself",
    "elsewhere": "other tokens",
}
_EXPLAINED = {
    "first_token": "many heads look at the first token when they find nothing to look for",
    "previous_token": "the token before is how a head learns what this one follows",
    "itself": "a head that looks at the token itself passes it on",
    "elsewhere": "other tokens are where a head picks by what the words are",
}
KINDS = {
    "previous token": "it looks at the token before",
    "first token": "it looks at the first token",
    "same token": "it looks at the same token, here or earlier",
    "induction": "it looks at the token that followed this one the last time, and so can copy what came next",
}
STRIKING = "striking: far more than its distance and the word it looks at explain; neighbours and the first token aside"


def name(tokens: Sequence[bytes], position: int) -> str:
    """A token, with its position (from 1) if it occurs more than once."""
    token = tokens[position - 1]
    return token_text(token) + (f" ({position:,})" if tokens.count(token) > 1 else "")


def link_said(tokens: Sequence[bytes], link: "Link", *, where: bool) -> str:
    """``·queen looks back at ·king with 0.99``, and in which head."""
    head = f" (layer {link.layer}, head {link.head})" if where else ""
    return f"{name(tokens, link.query)} looks back at {name(tokens, link.key)} with {link.weight:.2f}{head}"


def striking_sentence(answer: "Attention") -> str:
    """What is most striking in this text, or that nothing is, with what the heads mostly do."""
    if answer.striking is not None:
        return f"Most striking: {link_said(answer.texts, answer.striking, where=len(answer.heads) != 1)}."
    if answer.in_text is None:
        return "A text of three tokens or more says where a head likes to look."
    part, share = answer.in_text.largest
    where = {"itself": "each token itself", "elsewhere": "tokens further back"}.get(part, f"the {PARTS[part]}")
    return f"No link to a word further back stands out; on average {share:.2f} of the attention is on {where}."


def shares_said(shares: "TextShares") -> str:
    """The four shares in words, the largest first."""
    parts = sorted(PARTS, key=lambda part: -getattr(shares, part))
    return ", ".join(f"{PARTS[part]} {getattr(shares, part):.2f}" for part in parts)


def explained(heads: "Sequence[HeadAttention]") -> str:
    """The names under the heads in words: those that occur."""
    found = {head.in_text.largest[0] for head in heads if head.in_text is not None}
    named = [text for part, text in _EXPLAINED.items() if part in found]
    return f"Under each head: where most of its attention goes in this text, and which share. {_sentence(named)}"


def kinds_explained(heads: "Sequence[HeadAttention]") -> str:
    """The names that heads have from random tokens, in words; "" if none has one."""
    found = {head.label.kind for head in heads if head.label is not None and head.label.kind is not None}
    named = [f"{kind}: {text}" for kind, text in KINDS.items() if kind in found]
    return f"In brackets: its kind on random tokens that come twice. {_sentence(named)}" if named else ""


def label_said(label: "HeadLabel", named_from: float) -> str:
    """What a head does on random tokens that come twice."""
    scores = (
        f"token before {label.previous_token:.2f}, first token {label.first_token:.2f}, "
        f"same token {label.same_token:.2f}, the one that followed it the last time (induction) {label.induction:.2f}"
    )
    kind = f' A head of the kind "{label.kind}": {KINDS[label.kind]}.' if label.kind is not None else ""
    told = "" if kind else f" From {named_from:g} on a head is named after one of them."
    return f"On random tokens that come twice, where only position and repetition can guide it: {scores}.{kind}{told}"


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "." if text else ""
