"""The pictures of ``gptcli logits``: candidates with bars, temperatures side by side, a prompt's positions."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from gptcli.show.pictures import LONGEST_BAR, Bar, table
from gptcli.show.text import token_text, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

    from gptcli.distribution import Candidate, Distribution
    from gptcli.next_token import Guess, NextToken, Positions


def percent(probability: float) -> str:
    """A probability as a percentage with two decimals; small ones with two figures, and never 0 or 100 unless it is."""
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
    body = SideBySide(answer.distributions) if several else Candidates(answer.distributions[0])
    return Group(head, body, *(Text(summary(each), style="dim") for each in answer.distributions))


# Columns of the candidates that go first where the terminal is narrow.
_SPARE = ("id", "logit", "model", "bars")
_SHORTEST_BAR = 2


@dataclass(frozen=True)
class Candidates:
    """Rank, token, id, logit, probability, bar; and what filters did, where there are any.

    A narrow terminal gets fewer columns, and is told which.

    Attributes:
        odds: what there is to choose from.
        start: index of the first one to list.
        most: list no more than so many; the others are counted with the rest.
        mark: the id of a token that an arrow points at.
        selected: the id of a token whose row stands out.
    """

    odds: "Distribution"
    start: int = 0
    most: int | None = None
    mark: int | None = None
    selected: int | None = None

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw as many columns as there is room for."""
        for spared in range(len(_SPARE) + 1):
            made = self._table(_SPARE[:spared])
            if _fits(made, console, options):
                break
        yield made

    def _table(self, without: tuple[str, ...]) -> "Table":
        odds = self.odds
        figures = ("logit", "probability", *(("model",) if odds.filters else ()))
        columns = [name for name in ("id", *figures) if name not in without]
        bars = "bars" not in without
        made = table(">rank", "token", *(f">{name}" for name in columns), *[""] * bars)
        _tell_spared(made, [name for name in ("id", *figures, "bars") if name in without])
        end = len(odds.candidates) if self.most is None else self.start + self.most
        listed, hidden = odds.candidates[self.start : end], odds.candidates[: self.start] + odds.candidates[end:]
        largest = max(candidate.probability for candidate in odds.candidates + odds.watched) or 1.0
        for candidate in listed + odds.watched:
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
            made.add_row(*cells, *[Bar(candidate.probability / largest)] * bars, style=style)
            if candidate is listed[-1]:
                probability = odds.rest.probability + sum(each.probability for each in hidden)
                rest = {"probability": percent(probability)}
                cells = ["", f"{odds.rest.count + len(hidden):,} more", *(rest.get(name, "") for name in columns)]
                made.add_row(*cells, end_section=bool(odds.watched), style="dim")
        return made


@dataclass(frozen=True)
class SideBySide:
    """One column with a bar for each temperature.

    A narrow terminal gets fewer columns, and then the temperatures in blocks below each other.
    """

    several: "list[Distribution]"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw as many columns as there is room for."""
        count = len(self.several)
        for across, without in product(range(count, 0, -1), ((), _SPARE[:1], _SPARE[:2])):
            blocks = self._blocks(across, without)
            if all(_fits(block, console, options) for block in blocks):
                break
        else:
            blocks = self._blocks(1, _SPARE)
        yield from blocks

    def _blocks(self, across: int, without: tuple[str, ...]) -> "list[Table]":
        starts = range(0, len(self.several), across)
        blocks = [_block(self.several[start : start + across], without) for start in starts]
        _tell_spared(blocks[-1], [name for name in without if name != "model"])
        return blocks


def _block(several: "list[Distribution]", without: tuple[str, ...]) -> "Table":
    first, bars = several[0], "bars" not in without
    columns = [name for name in ("id", "logit") if name not in without]
    made = table(">rank", "token", *(f">{name}" for name in columns))
    for odds in several:
        made.add_column(f"T = {odds.temperature:g}", justify="right", no_wrap=True)
        if bars:
            made.add_column("")
    most = [max(candidate.probability for candidate in odds.candidates) for odds in several]
    rows = zip(*(odds.candidates + odds.watched for odds in several), strict=True)
    for same in rows:
        rank, token, number = _name(same[0])
        figure = {"id": number, "logit": f"{same[0].logit:.3f}"}
        cells: list[RenderableType] = [rank, token, *(figure[name] for name in columns)]
        for candidate, largest in zip(same, most, strict=True):
            cells += [_probability(candidate), *[Bar(candidate.probability / largest)] * bars]
        made.add_row(*cells)
        if same[0] is first.candidates[-1]:
            rest = [cell for odds in several for cell in (percent(odds.rest.probability), *[""] * bars)]
            more = ("", f"{first.rest.count:,} more", *("" for _ in columns))
            made.add_row(*more, *rest, end_section=bool(first.watched), style="dim")
    return made


def _tell_spared(made: "Table", names: "Sequence[str]") -> None:
    if names:
        made.caption, made.caption_justify = f"no room for {', '.join(names)}", "left"


def _fits(made: "Table", console: "Console", options: "ConsoleOptions") -> bool:
    """Whether a table has room for its columns, with its bars as short as they may be."""
    bars = sum(column.header == "" for column in made.columns)
    most = made.__rich_measure__(console, options.update(width=1000)).maximum
    return most - bars * (LONGEST_BAR - _SHORTEST_BAR) <= options.max_width


def draw_positions(answer: "Positions") -> "RenderableType":
    """One row a position: what stood there, what was expected next, and what came."""
    made = table(">position", "token", "expected", ">probability", "came", ">probability", ">rank")
    for guess in answer.positions:
        made.add_row(
            f"{guess.position}",
            token_text(guess.token),
            token_text(guess.best_token),
            percent(guess.best_probability),
            *_came(guess),
        )
    return made


def _came(guess: "Guess") -> list[str]:
    if guess.next_token is None or guess.next_probability is None or guess.next_rank is None:
        return ["", "", ""]
    return [token_text(guess.next_token), percent(guess.next_probability), f"{guess.next_rank:,}"]


def _name(candidate: "Candidate") -> list[str]:
    return [f"{candidate.rank:,}", token_text(candidate.token), f"{candidate.id}"]


def _probability(candidate: "Candidate") -> str:
    return candidate.cut_by or percent(candidate.probability)


def summary(odds: "Distribution") -> str:
    """The temperature, how undecided the model is, and how much the filters keep."""
    filters = [name for name in odds.filters if name != "temperature"]
    kept = f", {odds.kept:,} kept by {', '.join(filters)}" if filters else ""
    return f"T = {odds.temperature:g}: entropy {odds.entropy_bits:.3f} bits{kept}"


def ending(prompt: str, most: int = 60) -> str:
    """The end of a prompt, on one line."""
    line = visible(prompt, keep="").replace("\n", "⏎")
    return line if len(line) <= most else f"… {line[-most:]}"
