"""The pictures of ``gptcli logits``: candidates with bars, temperatures side by side, a prompt's positions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks.narrow import BARS, Narrowing, narrowing
from gptcli.show.blocks.pictures import Bar, table
from gptcli.show.text_rows import TextRows
from gptcli.text import clipped, token_text, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from gptcli.probability.distribution import Candidate, Distribution
    from gptcli.probability.next_token import NextToken, Position, Positions
    from gptcli.show.blocks.rows import Rows


def percent(probability: float) -> str:
    """A probability as a percentage with two decimals; small ones with two digits; 0 and 100 only if exact."""
    if 0.99995 <= probability < 1:
        return ">99.99%"
    if 0 < probability < 0.00005:
        return f"{probability * 100:.1e}%"
    return f"{probability * 100:.2f}%"


def draw_next(answer: "NextToken") -> "RenderableType":
    """The candidates: one distribution with its details, or several side by side."""
    from rich.console import Group
    from rich.text import Text

    several = len(answer.distributions) > 1
    head = Text(ending(answer.prompt), style="bold").append(" ▁", style="not bold")
    head.append(f"  {len(answer.prompt_ids):,} of {answer.n_positions:,} tokens", style="not bold dim")
    body = (
        Narrowing(_side_by_side, answer.distributions, ("id", "logit", BARS))
        if several
        else Candidates(answer.distributions[0])
    )
    return Group(head, body, *(Text(summary(each), style="dim") for each in answer.distributions))


@dataclass(frozen=True)
class Candidates:
    """Rank, token, id, logit, probability and bar; with filters also the model's probability.

    A narrow terminal gets fewer columns, and a line that names the others.

    Attributes:
        distribution: the candidates, and what filters did to them.
        start: index of the first one to list.
        most: list at most this many; the others are counted with the rest.
        mark: the id of the token with an arrow.
        selected: the id of the token whose row is highlighted.
    """

    distribution: "Distribution"
    start: int = 0
    most: int | None = None
    mark: int | None = None
    selected: int | None = None

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw as many columns as fit."""
        yield narrowing(self._table(), "id", "logit", "model", BARS)

    def _table(self) -> "Rows":
        shown = self.distribution
        columns = ("id", "logit", "probability", *(("model",) if shown.filters else ()))
        made = table(">rank", "token", *(f">{name}" for name in columns), BARS)
        end = len(shown.candidates) if self.most is None else self.start + self.most
        listed, hidden = shown.candidates[self.start : end], shown.candidates[: self.start] + shown.candidates[end:]
        largest = max(candidate.probability for candidate in shown.candidates + shown.watched) or 1.0
        for candidate in listed + shown.watched:
            rank, token, number = _name(candidate)
            pointed = "▶ " * (candidate.id in (self.mark, self.selected))
            figure = {
                "id": number,
                "logit": f"{candidate.logit:.3f}",
                "probability": _probability(candidate),
                "model": percent(candidate.model_probability),
            }
            style = "reverse" if candidate.id == self.selected else "dim" if candidate.cut_by else None
            cells = [pointed + rank, token, *(figure[name] for name in columns)]
            made.add_row(*cells, Bar(candidate.probability / largest), style=style)
            if candidate is listed[-1]:
                probability = shown.rest.probability + sum(each.probability for each in hidden)
                rest = {"probability": percent(probability)}
                cells = ["", f"{shown.rest.count + len(hidden):,} more", *(rest.get(name, "") for name in columns)]
                made.add_row(*cells, end_section=bool(shown.watched), style="dim")
        return made


def _side_by_side(several: "Sequence[Distribution]") -> "Rows":
    """One column with a bar for each temperature."""
    first = several[0]
    made = table(">rank", "token", ">id", ">logit")
    for distribution in several:
        made.add_column(f"T = {distribution.temperature:g}", justify="right", no_wrap=True)
        made.add_column(BARS)
    most = [max(candidate.probability for candidate in distribution.candidates) for distribution in several]
    rows = zip(*(distribution.candidates + distribution.watched for distribution in several), strict=True)
    for same in rows:
        cells: list[RenderableType] = [*_name(same[0]), f"{same[0].logit:.3f}"]
        for candidate, largest in zip(same, most, strict=True):
            cells += [_probability(candidate), Bar(candidate.probability / largest)]
        made.add_row(*cells)
        if same[0] is first.candidates[-1]:
            rest = [cell for distribution in several for cell in (percent(distribution.rest.probability), "")]
            made.add_row("", f"{first.rest.count:,} more", "", "", *rest, end_section=bool(first.watched), style="dim")
    return made


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


def _probability(candidate: "Candidate") -> str:
    return candidate.cut_by or percent(candidate.probability)


def summary(distribution: "Distribution") -> str:
    """The temperature, the entropy, and how many tokens the filters keep."""
    filters = [name for name in distribution.filters if name != "temperature"]
    kept = f", {distribution.kept:,} kept by {', '.join(filters)}" if filters else ""
    return f"T = {distribution.temperature:g}: entropy {distribution.entropy_bits:.3f} bits{kept}"


def ending(prompt: str, most: int = 60) -> str:
    """The end of a prompt, on one line."""
    line = visible(prompt, keep="").replace("\n", "⏎")
    return line if len(line) <= most else f"… {line[-most:]}"


# Candidates in a row, the width of a token and its probability, and the widest heading.
_IN_A_ROW, _CELL, _HEADING = 3, 20, 16


class NextRows:
    """A row for each text: its first candidates; or the probability of each watched word, and the first candidate.

    Args:
        watch: the words.
    """

    def __init__(self, watch: Sequence[str]) -> None:
        self._watched = len(watch)
        words = [(clipped(word, _HEADING), max(len(clipped(word, _HEADING)), 9)) for word in watch]
        candidates = [("first", _CELL), ("second", _CELL), ("third", _CELL)]
        columns = [*words, *candidates[: 1 if words else _IN_A_ROW]]
        self._rows = TextRows([("entropy", 7), *columns])

    def add(self, answer: "NextToken", text: str) -> None:
        """Print the row of one text."""
        shown = answer.distributions[0]
        cells = [_probability(candidate) for candidate in shown.watched]
        candidates = shown.candidates[: 1 if self._watched else _IN_A_ROW]
        cells += [f"{token_text(each.token)} {_probability(each):>7}" for each in candidates]
        cells += [""] * (max(_IN_A_ROW - len(candidates), 0) if not self._watched else 0)
        self._rows.row([f"{shown.entropy_bits:.3f}", *cells], text)
