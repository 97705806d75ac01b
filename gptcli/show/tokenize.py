"""Tokens as pictures: a strip of them with their ids, and the merges that built each word."""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from gptcli.show.blocks.palette import on_token
from gptcli.show.blocks.tokens import token_strip
from gptcli.show.text_rows import TextRows
from gptcli.text import clipped, token_text, visible

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

    from gptcli.tokenizer import Tokenizer
    from gptcli.tokenizer.listing import Tokenized
    from gptcli.tokenizer.merges import Merge, PieceMerges

# The most tokens of one character, which has four bytes at most and may share its first token with a space; and how
# many such characters are named.
_MOST_PARTS, _MOST_SPLIT = 5, 8


def strip_with_counts(answer: "Tokenized", note: str, width: int, limit: int, *, offsets: bool = False) -> "Group":
    """Tokens side by side in alternating colours, ids below, and how many there are.

    Args:
        answer: the text in tokens.
        note: a line to end with, or "".
        width: columns to fill.
        limit: how many tokens to draw at most.
        offsets: show the characters that each was made from below, from the first to the one after the last.
    """
    from rich.console import Group
    from rich.text import Text

    counts, drawn = answer.counts, answer.tokens[:limit]
    shown = [token_text(token.token) for token in drawn]
    below = [f"{token.start}-{token.end}" if offsets else str(token.id) for token in drawn]
    parts = [token_strip(shown, below, width), Text()] if shown else []
    if counts.n_tokens > len(drawn):
        parts.append(Text(f"... and {counts.n_tokens - len(drawn):,} more (--ids prints them all)\n", style="dim"))
    share = "" if counts.characters_per_token is None else f" ({counts.characters_per_token:.2f} a token)"
    figures = [
        _in_context(counts.n_tokens, answer.n_positions),
        _count(counts.n_characters, "character") + share,
        _count(counts.n_bytes, "byte"),
    ]
    parts.append(Text(" · ".join(figures), style="bold").append(f"  {clipped(answer.tokenizer)}", style="not bold dim"))
    for line in (split_characters([token.token for token in drawn]), note):
        if line:
            parts.append(Text(line, style="dim"))
    return Group(*parts)


def split_characters(tokens: Sequence[bytes]) -> str:
    """Which characters take several tokens, which are then shown as bytes: "😀 takes 2 tokens, 日 3"; "" if none."""
    found: dict[str, int] = {}
    held, count = b"", 0
    for token in tokens:
        held, count = held + token, count + 1
        try:
            text = held.decode()
        except UnicodeDecodeError:
            if count < _MOST_PARTS:
                continue
        else:
            if count > 1:
                found.setdefault(visible(text, keep="").strip(), count)
        held, count = b"", 0
    parts = [f"{text} {'takes ' * (not index)}{count}" for index, (text, count) in enumerate(found.items())]
    if not parts:
        return ""
    more = f", and {len(parts) - _MOST_SPLIT:,} more" if len(parts) > _MOST_SPLIT else ""
    return f"{parts[0]} tokens{''.join(f', {part}' for part in parts[1:_MOST_SPLIT])}{more}: shown as bytes"


def _in_context(tokens: int, context: int | None) -> str:
    """How many tokens there are, of those that a model reads."""
    if context is None:
        return _count(tokens, "token")
    if tokens > context:
        return f"{_count(tokens, 'token')}, more than the context of {context:,}"
    return f"{tokens:,} of {context:,} tokens"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def merge_steps_picture(pieces: Sequence["PieceMerges"], limit: int) -> "Group":
    """For each piece, its bytes and how they merge, one line a step.

    Args:
        pieces: pieces of a text.
        limit: how many to draw at most.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[Text] = []
    for piece in pieces[:limit]:
        title = Text(token_text(piece.text), style="bold", overflow="ellipsis", no_wrap=True)
        parts += [title, *_steps(piece), Text()]
    if len(pieces) > limit:
        parts.append(
            Text(f"... and more: the first {limit} different pieces are drawn (--json prints all)", style="dim")
        )
    return Group(*parts)


def _steps(piece: "PieceMerges") -> list["Text"]:
    from rich.text import Text

    lines = []
    if piece.merges:
        singles = [piece.text[index : index + 1] for index in range(len(piece.text))]
        lines.append(Text(" " * 9, no_wrap=True).append_text(_cells(singles, None)))
    for step in piece.merges:
        rank = Text(no_wrap=True).append(f"{step.rank:>7}  ", style="dim")
        said = f"   {token_text(step.left)} + {token_text(step.right)}"
        lines.append(rank.append_text(_cells(step.parts, step)).append(said, style="dim"))
    ids = " ".join(map(str, piece.ids))
    lines.append(Text(f"{'ids' if len(piece.ids) > 1 else 'id':>7}  {ids}", style="bold"))
    return lines


def _cells(parts: Sequence[bytes], step: "Merge | None") -> "Text":
    """The parts of a piece, coloured by where they start so that a part keeps its colour; the new one is bold."""
    from rich.text import Text

    line, found = Text(no_wrap=True), False
    for start, part in zip(accumulate(map(len, parts), initial=0), parts, strict=False):
        is_new = step is not None and part == step.left + step.right and not found
        found = found or is_new
        style = on_token(start)
        line.append(token_text(part), style=f"bold underline {style}" if is_new else style).append(" ")
    return line


# Tokens in a row.
_IN_A_ROW = 60


class TokenRows:
    """A row for each text: how many tokens it has, and the tokens."""

    def __init__(self) -> None:
        self._rows = TextRows([("tokens", 6)])

    def add(self, tokenizer: "Tokenizer", ids: Sequence[int]) -> None:
        """Print the row of one text."""
        shown = "|".join(token_text(tokenizer.token_bytes(token)) for token in ids[:_IN_A_ROW])
        self._rows.row([f"{len(ids):,}"], shown + "…" * (len(ids) > _IN_A_ROW))
