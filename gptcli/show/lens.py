"""The picture of ``gptcli lens``: every layer's best guess at every position, and tokens through the layers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from gptcli.show.blocks.figures import percent
from gptcli.show.blocks.heat import TextLegend
from gptcli.show.blocks.narrow import BARS, Narrowing
from gptcli.show.blocks.palette import on_scale
from gptcli.show.blocks.pictures import Bar, table
from gptcli.show.html.page import Page
from gptcli.show.html.parts import Cell, Grid, Legend, Listing, PagePart
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

    from gptcli.inspection.attribution import Attribution
    from gptcli.inspection.lens import Lens, Stage, Track
    from gptcli.probability.distribution import Guess
    from gptcli.show.blocks.rows import Rows

_PERCENT = 4  # columns of a space and a percentage
_SHORTEST = 7  # the least columns of a token
_SCALE = Legend("probability", [(f"{step}", step / 100) for step in range(0, 101, 25)], "%")
_SINCE = "since: where the last guess is settled"
_LEGEND = TextLegend(replace(_SCALE, unit=f"%   {_SINCE}"), f"probability in %   {_SINCE}")
_BARS_SAY = "bars: the rank on a logarithmic scale, full at 1"
_BETWEEN = "between attention and MLP stands what attention alone has added: in this model both work side by side"


def draw(lens: "Lens", more: "Sequence[RenderableType]" = ()) -> "RenderableType":
    """The grid, the verdict, the requested tokens, and more pictures of the same run."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [LensGrid(lens), Text(), _LEGEND, Text(verdict(lens))]
    if lens.asked:
        parts += [
            Text(),
            Narrowing(partial(_tracks, lens), lens.tracks, (BARS, "probability")),
            Text(_BARS_SAY, style="dim"),
        ]
    if lens.parallel and any(stage.sublayer == "attention" for stage in lens.stages):
        parts.append(Text(_BETWEEN, style="dim"))
    for picture in more:
        parts += [Text(), picture]
    return Group(*parts)


def draw_page(lens: "Lens", attributions: "Sequence[Attribution]", top: int) -> Page:
    """The page: pointing at a cell shows its figures."""
    from gptcli.show.attribution import frozen_scale, page_parts

    names = [stage_name(stage) for stage in lens.stages]
    cells = [
        [
            Cell(
                token_text(guess.token),
                guess.probability,
                (token_text(guess.token), percent(guess.probability), names[since]),
            )
            for guess, since in zip(stage.guesses, lens.decided, strict=True)
        ]
        for stage in lens.stages
    ]
    grid = Grid(
        title="The best guess after each layer",
        names=("best guess", "probability", "the last guess stays from"),
        rows=[name if name == "embed" else f"layer {name}" for name in names],
        columns=[token_text(each.token) for each in lens.tokens],
        cells=cells,
        heading="{row}, after {column}",
        large=True,
        legend=_SCALE,
    )
    parts: list[PagePart] = [grid, *(_track_listing(lens, track) for track in lens.tracks if lens.asked)]
    for attribution in attributions:
        parts += page_parts(attribution, top)
    facts = [verdict(lens), *(frozen_scale(each) for each in attributions[:1] if each.frozen is not None)]
    return Page(f"What each layer of {lens.model} would say", facts, parts, thing="cell")


def _track_listing(lens: "Lens", track: "Track") -> Listing:
    rows = [
        ((stage_name(stage), f"{rank:,}", percent(probability)), _closeness(track, index, lens.n_vocab))
        for index, (stage, rank, probability) in enumerate(
            zip(lens.stages, track.ranks, track.probabilities, strict=True)
        )
    ]
    return Listing(f"{token_text(track.token)} through the layers", (">layer", ">rank", ">probability"), rows)


def stage_name(stage: "Stage") -> str:
    """The label of a stage."""
    if stage.sublayer == "embedding":
        return "embed"
    sublayers = {"attention": " attn", "layer": ""}
    return f"{stage.layer}{sublayers[stage.sublayer]}"


def verdict(lens: "Lens") -> str:
    """One sentence: the final prediction, and from which layer on it is the best guess."""
    answer, stage = lens.stages[-1].guesses[-1], lens.stages[lens.decided[-1]]
    if stage.sublayer == "embedding":
        when = "decided by the embedding alone"
    else:
        half = ", by its attention" if stage.sublayer == "attention" else ""
        when = f"decided at layer {stage.layer} of {lens.stages[-1].layer}{half}"
    return f"next: {token_text(answer.token)} {percent(answer.probability)}, {when}"


@dataclass(frozen=True)
class LensGrid:
    """Rows are layers, columns positions; the latest positions are shown if not all fit."""

    lens: "Lens"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Lay it out for the terminal's width."""
        from rich.text import Text

        lens = self.lens
        names = ["layer", *map(stage_name, lens.stages), "since"]
        margin = max(map(len, names)) + 1
        first, cell = self._fit(options.max_width - margin)
        if first:
            yield Text(f"… {first:,} earlier of {len(lens.tokens):,} tokens do not fit in this width", style="dim")
        grid = Text(no_wrap=True, overflow="crop")
        grid.append("layer".ljust(margin), style="dim")
        for each in lens.tokens[first:]:
            grid.append(_clip(token_text(each.token), cell) + " ", style="bold")
        for index, stage in enumerate(lens.stages):
            grid.append("\n" + stage_name(stage).rjust(margin - 1) + " ", style="dim")
            for guess, since in zip(stage.guesses[first:], lens.decided[first:], strict=True):
                grid.append(_field(guess, cell), style=_style(guess, decided=index >= since)).append(" ")
        grid.append("\n" + "since".ljust(margin), style="dim")
        for since in lens.decided[first:]:
            name = stage_name(lens.stages[since])
            grid.append(_clip(f"layer {name}" if name.isdigit() else name, cell) + " ")
        yield grid

    def _fit(self, width: int) -> tuple[int, int]:
        """The first position that fits, and the columns of a cell."""
        from rich.cells import cell_len

        count, shortest = len(self.lens.tokens), _SHORTEST + _PERCENT
        fitting = max(min(width // (shortest + 1), count), 1)
        first = count - fitting
        longest = max(
            cell_len(token_text(guess.token)) for stage in self.lens.stages for guess in stage.guesses[first:]
        )
        longest = max(longest + 1 + _PERCENT, *(cell_len(token_text(each.token)) for each in self.lens.tokens[first:]))
        return first, max(min(longest, width // fitting - 1), _PERCENT + 1)


def _field(guess: "Guess", cell: int) -> str:
    figure = _round(guess.probability)
    return _clip(token_text(guess.token), cell - _PERCENT) + figure.rjust(_PERCENT)


def _round(probability: float) -> str:
    """A percentage without decimals or sign; 0 and 100 only if the probability is exactly 0 or 1."""
    if 0 < probability < 0.005:
        return "<1"
    return ">99" if 0.995 <= probability < 1 else f"{probability * 100:.0f}"


def _clip(text: str, width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    return set_cell_size(text, width - 1) + "…" if cell_len(text) > width else set_cell_size(text, width)


def _style(guess: "Guess", *, decided: bool) -> str:
    weight = "bold " if decided else ""
    return f"{weight}{on_scale(guess.probability)}"


def _tracks(lens: "Lens", tracks: "Sequence[Track]") -> "Rows":
    """Rank and probability of each token at each stage, and a bar for the rank."""
    made = table(">layer")
    for track in tracks:
        made.add_column(f"rank of {token_text(track.token)}", justify="right", no_wrap=True)
        made.add_column("probability", justify="right", no_wrap=True)
        made.add_column(BARS)
    for index, stage in enumerate(lens.stages):
        cells: list[RenderableType] = [stage_name(stage)]
        for track in tracks:
            closeness = _closeness(track, index, lens.n_vocab)
            cells += [f"{track.ranks[index]:,}", percent(track.probabilities[index]), Bar(closeness)]
        made.add_row(*cells)
    return made


def _closeness(track: "Track", stage: int, vocabulary: int) -> float:
    """1 at rank 1, 0 at the last rank, on a logarithmic scale."""
    return 1 - math.log(track.ranks[stage]) / math.log(max(vocabulary, 2))
