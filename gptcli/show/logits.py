"""The pictures of ``gptcli logits``: candidates with bars, temperatures side by side, a prompt's positions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptcli.show.blocks import palette
from gptcli.show.blocks.figures import choices, percent, percents
from gptcli.show.blocks.multiples import Column, Multiple, Multiples
from gptcli.show.blocks.narrow import BARS, narrowing
from gptcli.show.blocks.pictures import Bar, table
from gptcli.show.blocks.rows import BARE
from gptcli.show.text_rows import TextRows
from gptcli.text import clipped, token_text, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from gptcli.probability.distribution import Candidate, Distribution
    from gptcli.probability.next_token import NextToken, Position, Positions
    from gptcli.show.blocks.rows import Rows


def draw_next(answer: "NextToken") -> "RenderableType":
    """The candidates: one distribution with its details, or several side by side on one scale."""
    from rich.console import Group
    from rich.text import Text

    head = Text(ending(answer.prompt), style="bold").append(" ▁", style="not bold")
    head.append(f"  {len(answer.prompt_ids):,} of {answer.n_positions:,} tokens", style="not bold dim")
    if len(answer.distributions) == 1:
        body: RenderableType = Candidates(answer.distributions[0])
    else:
        body = Group(*_compared(answer.distributions))
    said = [summary(each) for each in answer.distributions]
    if len(said) == 1 and answer.distributions[0].filters:
        said.append(f"{RAW}: the model's own probability, before temperature and filters")
    return Group(head, body, *(Text(line, style="dim") for line in said))


RAW = "raw"
"""How the column of the model's own probabilities is headed: before temperature and filters."""


@dataclass(frozen=True)
class Candidates:
    """Rank, token, id, logit, probability and bar; with filters also the model's own probability.

    A narrow terminal gets fewer columns, and a line that names the others.

    Attributes:
        distribution: the candidates, and what filters did to them.
        start: index of the first one to list.
        most: list at most this many; the others are counted with the rest.
        mark: the id of the token with an arrow.
        selected: the id of the token whose row is highlighted.
        compact: only rank, token, probability and bar, without a heading: for a low terminal.
    """

    distribution: "Distribution"
    start: int = 0
    most: int | None = None
    mark: int | None = None
    selected: int | None = None
    compact: bool = False

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw as many columns as fit."""
        if self.compact:
            yield self._table()
        else:
            yield narrowing(self._table(), "id", "logit", RAW, BARS, easily=2)

    def _table(self) -> "Rows":
        shown = self.distribution
        columns: tuple[str, ...] = ("id", "logit", "probability", *((RAW,) if shown.filters else ()))
        columns = ("probability",) if self.compact else columns
        style: dict[str, Any] = {**BARE, "show_header": False} if self.compact else {}
        made = table(">rank", "token", *(f">{name}" for name in columns), BARS, **style)
        end = len(shown.candidates) if self.most is None else self.start + self.most
        listed, hidden = shown.candidates[self.start : end], shown.candidates[: self.start] + shown.candidates[end:]
        largest = max(candidate.probability for candidate in shown.candidates + shown.watched) or 1.0
        figures = dict(zip((each.id for each in shown.candidates + shown.watched), _figures(shown), strict=True))
        for candidate in listed + shown.watched:
            rank, token, number = _name(candidate)
            pointed = "▶ " * (candidate.id in (self.mark, self.selected))
            figure = {
                "id": number,
                "logit": f"{candidate.logit:.3f}",
                "probability": figures[candidate.id],
                RAW: percent(candidate.model_probability),
            }
            look = _selected() if candidate.id == self.selected else "dim" if candidate.cut_by else None
            cells = [pointed + rank, token, *(figure[name] for name in columns)]
            made.add_row(*cells, Bar(candidate.probability / largest), style=look)
            if candidate is listed[-1] and not self.compact:
                probability = shown.rest.probability + sum(each.probability for each in hidden)
                rest = {"probability": percents([*(each.probability for each in shown.candidates), probability])[-1]}
                cells = ["", f"{shown.rest.count + len(hidden):,} more", *(rest.get(name, "") for name in columns)]
                made.add_row(*cells, end_section=bool(shown.watched), style="dim")
        return made


def _selected() -> str:
    """The look of the selected row: on a ground of its own, on which its bar is seen; the arrow needs no colour."""
    theme = palette.current()
    return f"bold {theme.ink} on {theme.line}"


def _compared(several: "Sequence[Distribution]") -> "list[RenderableType]":
    """A figure and a bar for each temperature, all bars on one scale."""
    from rich.text import Text

    first = several[0]
    listed, watched = first.candidates, first.watched
    named = [*map(_name, listed), ["", f"{first.rest.count:,} more", ""], *map(_name, watched)]
    logits = [f"{each.logit:.3f}" for each in listed + watched]
    ranks, tokens, ids = (list(column) for column in zip(*named, strict=True))
    columns = [
        Column(">rank", ranks),
        Column("token", tokens),
        Column(">id", ids),
        Column(">logit", [*logits[: len(listed)], "", *logits[len(listed) :]]),
    ]
    largest = max(each.probability for one in several for each in one.candidates + one.watched) or 1.0
    rest = frozenset([len(listed)])
    multiples = [_multiple(distribution, largest) for distribution in several]
    scale = f"all bars on one scale: the longest is {percent(largest)}"
    return [
        Multiples(columns, multiples, ("id", "logit", "rank"), dim=rest, sections=rest if watched else frozenset()),
        Text(scale, style="dim"),
    ]


def _multiple(distribution: "Distribution", largest: float) -> Multiple:
    listed = len(distribution.candidates)
    figures = _figures(distribution)
    lengths = [each.probability / largest for each in distribution.candidates + distribution.watched]
    return Multiple(
        f"T = {distribution.temperature:g}",
        [*figures[:listed], _rest(distribution), *figures[listed:]],
        [*lengths[:listed], None, *lengths[listed:]],
        warmth(distribution.temperature),
    )


def warmth(temperature: float) -> str:
    """The colour of bars by temperature: cold below 1, warm above."""
    theme = palette.current()
    return theme.bar if temperature == 1 else theme.negative if temperature < 1 else theme.warning


def _figures(distribution: "Distribution") -> list[str]:
    """The probabilities of the candidates and of the watched tokens, or the filters that cut them."""
    listed = distribution.candidates + distribution.watched
    shown = percents([each.probability for each in listed])
    return [_cut(each) or figure for each, figure in zip(listed, shown, strict=True)]


def _rest(distribution: "Distribution") -> str:
    """The probability of all others, with as many digits as the listed ones have."""
    return percents([*(each.probability for each in distribution.candidates), distribution.rest.probability])[-1]


def _cut(candidate: "Candidate") -> str | None:
    """The filter that cut a token; at a temperature of 0, which leaves one, the figure says it."""
    return None if candidate.cut_by in (None, "greedy") else f"cut: {candidate.cut_by}"


def draw_positions(answer: "Positions") -> "RenderableType":
    """One row for each position: its token, the expected next one, and the one that came."""
    made = table(">position", "token", "expected", ">probability", "came", ">probability", ">rank")
    for guess in answer.positions:
        made.add_row(
            f"{guess.position}",
            token_text(guess.token),
            token_text(guess.best.token),
            percent(guess.best.probability),
            *_came(guess),
        )
    return narrowing(made, "rank", "position", "probability")


def _came(guess: "Position") -> list[str]:
    came = guess.next
    return ["", "", ""] if came is None else [token_text(came.token), percent(came.probability), f"{came.rank:,}"]


def _name(candidate: "Candidate") -> list[str]:
    return [f"{candidate.rank:,}", token_text(candidate.token), f"{candidate.id}"]


def summary(distribution: "Distribution") -> str:
    """The temperature, the entropy, and how many tokens the filters keep."""
    filters = [name for name in distribution.filters if name != "temperature"]
    kept = f", {distribution.kept:,} kept by {', '.join(filters)}" if filters else ""
    if distribution.temperature == 0:
        return "T = 0: the most probable token, always"
    bits = distribution.entropy_bits
    return f"T = {distribution.temperature:g}: entropy {bits:.3f} bits, {choices(bits)}{kept}"


def ending(prompt: str, most: int = 60) -> str:
    """The end of a prompt, on one line."""
    line = visible(prompt, keep="").replace("\n", "⏎")
    return line if len(line) <= most else f"… {line[-most:]}"


# Candidates in a row, the widths of a token with its probability and of a probability, and the widest heading.
_IN_A_ROW, _CELL, _FIGURE, _HEADING = 3, 20, 15, 16


class NextRows:
    """A row for each text: its first candidates; or the probability of each watched word, and the first candidate.

    Args:
        watch: the words.
    """

    def __init__(self, watch: Sequence[str]) -> None:
        self._watched = len(watch)
        words = [(clipped(word, _HEADING), max(len(clipped(word, _HEADING)), _FIGURE)) for word in watch]
        candidates = [("first", _CELL), ("second", _CELL), ("third", _CELL)]
        columns = [*words, *candidates[: 1 if words else _IN_A_ROW]]
        self._rows = TextRows([("entropy", 7), *columns])

    def add(self, answer: "NextToken", text: str) -> None:
        """Print the row of one text."""
        shown = answer.distributions[0]
        cells = [candidate.cut_by or percent(candidate.probability) for candidate in shown.watched]
        candidates = shown.candidates[: 1 if self._watched else _IN_A_ROW]
        cells += [f"{token_text(each.token)} {each.cut_by or percent(each.probability):>7}" for each in candidates]
        cells += [""] * (max(_IN_A_ROW - len(candidates), 0) if not self._watched else 0)
        self._rows.row([f"{shown.entropy_bits:.3f}", *cells], text)
