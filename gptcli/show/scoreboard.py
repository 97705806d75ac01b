"""The picture of ``gptcli params``: the scoreboard of a GPT's matrices, the exact number, and the memory it takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks.narrow import narrowing
from gptcli.show.blocks.pictures import Bar
from gptcli.show.terminal.watching import lines_allowed
from gptcli.text import size, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

    from gptcli.counting.parameters import ParameterCount
    from gptcli.counting.tally import Matrices, Memory, Tally
    from gptcli.counting.tensors import Stored, TensorGroup
    from gptcli.model.config import GPTConfig

# Every table's counts end in the same column: name and formula fill the first _LEFT columns.
_LEFT = 45
_GAP = 2
_COUNT = 15
_SHARE = 6
# The least columns of rows, columns, heads and layers: those of most models, so that two can be compared line by line.
_FACTORS = (6, 6, 2, 2)


def draw(answer: "ParameterCount") -> "RenderableType":
    """All tables, for a terminal of 80 columns or more."""
    from rich.console import Group

    parts: list[RenderableType] = [_headline(answer)]
    if answer.tally is not None:
        experts = answer.config is not None and answer.config.experts is not None
        parts += [_scoreboard(answer.tally, experts), _sums(answer.tally)]
        if lines_allowed() is not None:  # the rest is what a short screen can do without
            return Group(*parts)
        parts.append(_exact(answer.tally))
    if answer.stored is not None:
        parts.append(_tensors(answer.stored) if answer.tally is None else _files(answer.stored, answer.parameters))
    parts.append(_memory(answer.memory, answer.config))
    return Group(*parts)


def _share(fraction: float) -> str:
    return "<0.1%" if 0 < fraction < 0.0005 else f"{fraction:.1%}"


def _headline(answer: "ParameterCount") -> "RenderableType":
    from rich.text import Text

    line = Text(visible(answer.model, keep=""), style="bold").append(f"  {answer.parameters:,} parameters")
    if answer.config is not None:
        line.append(f"\n{_shape(answer.config)}", style="not bold dim")
    elif answer.family is not None:
        line.append(f"\n{answer.family}: one embedding, and no transformer behind it", style="not bold dim")
    return line


def _shape(config: "GPTConfig") -> str:
    return (
        f"{config.n_layer:,} layers, {config.n_head:,} heads of {config.head_size:,}, width {config.n_embd:,}, "
        f"vocabulary {config.vocab_size:,}, context {config.n_positions:,}"
    )


@dataclass(frozen=True)
class Ledger:
    """A table of names, formulas and counts; then a share and a bar, if they fit.

    Attributes:
        title: heading of the names.
        how: heading of the formulas.
        rows: name, formula, count, and optionally a share and a bar.
        total: whether the last row is a total.
    """

    title: str
    how: str
    rows: Sequence[Sequence["RenderableType"]]
    total: bool = False

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Lay it out for the terminal's width; a count is never clipped."""
        from rich.cells import cell_len

        from gptcli.show.blocks.rows import BARE, Rows

        wide = options.max_width >= _LEFT + _COUNT + _SHARE + 3 * _GAP + 1
        name = max(cell_len(self.title), *(cell_len(str(row[0])) for row in self.rows))
        long_names = name > _LEFT // 2 + _GAP * 3
        made = Rows(**BARE)
        made.add_column(f"\n{self.title}", overflow="fold", no_wrap=wide and not long_names)
        factors = self.how.split(" × ")
        how = self.how if wide or len(factors) < 3 else " × ".join([*factors[:2], "…"])
        # Spaces, unlike a minimal width, shrink on a narrow terminal.
        made.add_column(f"\n{how.ljust(_LEFT - _GAP - name)}", overflow="fold", no_wrap=wide and not long_names)
        made.add_column("", justify="right", min_width=_COUNT, no_wrap=True)
        if wide:
            made.add_column("", justify="right", min_width=_SHARE, no_wrap=True)
            made.add_column("", max_width=8 if long_names else None)
        for index, row in enumerate(self.rows):
            last = self.total and index == len(self.rows) - 1
            made.add_row(*row[: None if wide else 3], style="bold" if last else None)
        yield made


def _scoreboard(tally: "Tally", experts: bool) -> Ledger:
    most = max(line.share for line in tally.scoreboard)
    rows: list[Sequence[RenderableType]] = [
        (line.name, how, f"{line.count:,}", _share(line.share), Bar(line.share / most))
        for line, how in zip(tally.scoreboard, _factors(tally.scoreboard), strict=True)
    ]
    rows.append((f"{tally.n_matrices:,} matrices", "", f"{tally.scoreboard_total:,}", "100%"))
    how = "rows × cols × count × layers" if experts else "rows × cols × heads × layers"
    return Ledger("Scoreboard", how, rows, total=True)


def _factors(lines: Sequence["Matrices"]) -> list[str]:
    """``rows × columns × heads × layers`` of each line, with equal factors aligned and absent ones left out."""
    factors = [
        [
            ("" if number is None else f"{number:,}")
            for number in (line.n_rows, line.n_columns, line.n_heads, line.n_layers)
        ]
        for line in lines
    ]
    widths = [max(least, *map(len, column)) for least, column in zip(_FACTORS, zip(*factors, strict=True), strict=True)]
    return [
        "".join(
            (" × " if index and factor else "   " if index else "") + factor.rjust(width)
            for index, (factor, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in factors
    ]


def _sums(tally: "Tally") -> Ledger:
    rows = [
        (term.name, term.formula, f"{term.count:,}", _share(term.count / tally.scoreboard_total)) for term in tally.sums
    ]
    return Ledger("Of which", "", rows)


def _exact(tally: "Tally") -> Ledger:
    rows = [(term.name, term.formula, f"{term.count:+,}".replace("-", "−")) for term in tally.corrections]
    rows.append(("parameters", "counted once", f"{tally.parameters:,}"))
    if tally.active is not None:
        share = f"{tally.active / tally.parameters:.1%} of them"
        rows.insert(len(rows) - 1, ("at work on one token", share, f"{tally.active:,}"))
    return Ledger("Left out, or counted twice", "", rows, total=True)


def _files(stored: "Stored", parameters: int) -> Ledger:
    rows = [(_tensor_count(stored), _dtypes(stored), f"{stored.count:,}")]
    for reason, groups in (("no parameters", stored.buffers), ("stored again", stored.duplicates)):
        rows += [(reason, _group(group), f"−{group.count:,}") for group in groups]
    if stored.difference:
        fault = f"{abs(stored.difference):,} too {'many' if stored.difference > 0 else 'few'}"
        rows.append((fault, f"{parameters:,} would fit", f"{stored.parameters:,}"))
    else:
        rows.append(("parameters", "as counted above", f"{stored.parameters:,}"))
    where = f"{len(stored.files)} files" if len(stored.files) > 1 else "the file"
    return Ledger(f"In {where}", size(stored.nbytes), rows, total=True)


def _tensor_count(stored: "Stored") -> str:
    return f"{stored.n_tensors:,} tensor{'' if stored.n_tensors == 1 else 's'}"


def _dtypes(stored: "Stored") -> str:
    return ", ".join(
        dtype if len(stored.dtypes) == 1 else f"{dtype} {count:,}" for dtype, count in stored.dtypes.items()
    )


def _group(group: "TensorGroup") -> str:
    return visible(group.name, keep="")


def _tensors(stored: "Stored") -> Ledger:
    most = max((group.count for group in stored.groups), default=0) or 1
    rows: list[Sequence[RenderableType]] = [
        (
            _group(group),
            " × ".join(f"{number:,}" for number in (*group.shape, *([group.n_tensors] if group.n_tensors > 1 else []))),
            f"{group.count:,}",
            _share(group.count / max(stored.count, 1)),
            Bar(group.count / most),
        )
        for group in stored.groups
    ]
    rows.append((_tensor_count(stored), f"{size(stored.nbytes)} of {_dtypes(stored)}", f"{stored.count:,}"))
    return Ledger("Tensors", "shape × how many", rows, total=True)


def _memory(memory: Sequence["Memory"], config: "GPTConfig | None") -> "RenderableType":
    from gptcli.show.blocks.rows import BARE, Rows

    made = Rows(**BARE)
    # Spaces, unlike a minimal width, shrink on a narrow terminal.
    made.add_column(f"\n{'Memory'.ljust(10)}")
    made.add_column("\nweights", justify="right", min_width=9)
    cache_columns = () if config is None else ("\ncache a token", f"\nat {config.n_positions:,} tokens")
    for heading in cache_columns:
        made.add_column(heading, justify="right")
    for line in memory:
        cache = (line.cache_per_token, line.cache_at_full_context) if config is not None else ()
        name = "int4 MLPs" if line.dtype == "int4" and config is not None else line.dtype
        made.add_row(name, size(line.weights), *("" if held is None else size(held) for held in cache))
    return narrowing(made, *cache_columns)
