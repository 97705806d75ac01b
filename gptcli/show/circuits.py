"""The pictures of ``gptcli head``: one head's two circuits, or a table of all heads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptcli.show.attribution import SignedBar
from gptcli.show.blocks.narrow import BARS, narrowing
from gptcli.show.blocks.pictures import table
from gptcli.show.html.page import Page
from gptcli.show.html.parts import Cell, Grid, Legend, Listing, PagePart
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text

    from gptcli.inspection.by_weights import HeadView
    from gptcli.inspection.circuits import Distances
    from gptcli.inspection.head_scan import HeadFigures, HeadScan
    from gptcli.inspection.heads import HeadLabel
    from gptcli.inspection.token_scores import TokenScore

_ANY = "(any)"
_MOST_DISTANCES = 5
_PAGE_TOKENS, _PAGE_DISTANCES = 6, 16
TOKENS_GAP, TOKENS_EDGES = 3, 2  # columns between those of a table, and at its edges
# Below this share no distance stands out.
_EVEN = 0.05


def draw_head(view: "HeadView") -> "RenderableType":
    """What it moves, what it looks for, what positions do, and its kind."""
    from rich.console import Group
    from rich.text import Text

    moves, looks = view.moves, view.looks
    moved = [(_ANY, "", moves.always)] + [
        (token_text(each.token), f"{each.rank:,}", each.raises) for each in moves.seen
    ]
    looked = [(_ANY, "", looks.always)] + [
        (token_text(each.token), f"{each.rank:,}", each.matches) for each in looks.looking
    ]
    return Group(
        Text(f"Layer {view.layer}, head {view.head} of {view.model}", style="bold"),
        *(Text(line, style="dim") for line in _basis(view)),
        Text("\nWhat it moves (OV)", style="bold"),
        Text(moved_said(view)),
        TokenLists(("it sees", "own rank", "and raises"), moved),
        Text("What it looks for (QK)", style="bold"),
        Text(looked_said(view)),
        TokenLists(("looking", "own rank", "it matches"), looked),
        Text("By positions alone", style="bold"),
        Text(distances_said(view.distances)),
        *_kind(view),
    )


def draw_head_page(view: "HeadView") -> Page:
    """The page: what it raises and lowers, what it matches, and the distances, a list each."""
    moved = [
        (token_text(each.token), f"{each.rank:,}", _few(each.raises), _few(each.lowers), each.raises)
        for each in view.moves.seen
    ]
    looked = [
        (token_text(each.token), f"{each.rank:,}", _few(each.matches), each.matches) for each in view.looks.looking
    ]
    parts: list[PagePart] = [
        Listing(
            "What it moves (OV)",
            ("it sees", ">own rank", "and raises", "and lowers"),
            _with_bars([(_ANY, "", _few(view.moves.always), "", view.moves.always), *moved]),
        ),
        Listing(
            "What it looks for (QK)",
            ("looking", ">own rank", "it matches"),
            _with_bars([(_ANY, "", _few(view.looks.always), view.looks.always), *looked]),
        ),
    ]
    shares = view.distances.shares[:_PAGE_DISTANCES]
    most = max(shares, default=0.0) or 1.0
    far = [((f"{each:,}", f"{share:.1%}"), share / most) for each, share in enumerate(shares)]
    parts.append(Listing("Attention by distance, by positions alone", (">distance", ">share"), far))
    facts = [*_basis(view), moved_said(view), looked_said(view), distances_said(view.distances), *_kind_said(view)]
    return Page(f"Layer {view.layer}, head {view.head} of {view.model}", facts, parts)


def _few(scores: "Sequence[TokenScore]") -> str:
    return "  ".join(token_text(each.token) for each in scores[:_PAGE_TOKENS])


def _with_bars(rows: "Sequence[Sequence[Any]]") -> list[tuple[Sequence[str], float]]:
    """Rows of a list; the last of each are scores, the largest of which is the length of its bar."""
    best = [max((each.score for each in row[-1]), default=0.0) for row in rows]
    most = max(best, default=0.0) or 1.0
    return [(row[:-1], max(score, 0.0) / most) for row, score in zip(rows, best, strict=True)]


def token_bars(scores: "Sequence[TokenScore]") -> list[tuple[Sequence[str], float]]:
    """Rows of a page's list: each token, its score, and the length of its bar."""
    most = max((abs(each.score) for each in scores), default=0.0) or 1.0
    return [((token_text(each.token), f"{each.score:+.2f}"), abs(each.score) / most) for each in scores]


@dataclass(frozen=True)
class TokenLists:
    """A table whose last column lists tokens, as many as fit on one line.

    Attributes:
        columns: the headings: a token, a figure, the list.
        rows: the cells of each.
    """

    columns: tuple[str, str, str]
    rows: "Sequence[tuple[str, str, Sequence[TokenScore]]]"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw it as wide as the terminal."""
        made = table(self.columns[0], f">{self.columns[1]}", self.columns[2])
        taken = TOKENS_EDGES + sum(max(map(_cells, column)) + TOKENS_GAP for column in zip(*self._short(), strict=True))
        for first, figure, listed in self.rows:
            made.add_row(first, figure, fitting([token_text(each.token) for each in listed], options.max_width - taken))
        yield made

    def _short(self) -> list[tuple[str, str]]:
        return [self.columns[:2], *((first, figure) for first, figure, _ in self.rows)]


def fitting(names: Sequence[str], width: int) -> str:
    """As many names as fit on a line of a width, at least one, two spaces between them."""
    line = ""
    for name in names:
        longer = f"{line}  {name}" if line else name
        if line and _cells(longer) > width:
            break
        line = longer
    return line


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _basis(view: "HeadView") -> list[str]:
    """What the figures are of, and what they leave out."""
    sample = (
        f"{view.sampled:,} tokens"
        if view.sampled == view.n_vocab
        else f"{view.sampled:,} frequent tokens of {view.n_vocab:,}"
    )
    out = _left_out(view)
    lines = [f"By its weights, on {sample}, {_through(view.through)}. Left out: {out}."]
    if view.key_head is not None:
        heads = ", ".join(map(str, view.shared_with))
        lines.append(f"Keys and values are those of key head {view.key_head}, which heads {heads} share.")
    if view.window is not None:
        lines.append(f"It sees the latest {view.window:,} tokens.")
    return lines


def _through(through: int) -> str:
    if not through:
        return "each as its embedding"
    return f"each alone through layer {through}" if through == 1 else f"each alone through layers 1 to {through}"


def _left_out(view: "HeadView") -> str:
    between = range(view.through + 1, view.layer)
    layers = f"layer{'s' if len(between) > 1 else ''} {_span(between)}, " if between else ""
    learned = "positions, " if view.distances.positions in ("learned", "sinusoidal") else ""
    return f"{layers}{learned}other tokens"


def _span(numbers: range) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def moved_said(view: "HeadView") -> str:
    """How far the head copies: one line."""
    moves = view.moves
    return (
        f"Copying score {moves.copying_score:+.2f} (eigenvalues: 1 copies, -1 lowers what it sees). Of the sampled "
        f"tokens {moves.copied:.0%} raise themselves most of all, {moves.among_five:.0%} are among the five that "
        "they raise most."
    )


def looked_said(view: "HeadView") -> str:
    """How far it looks for the same token: one line."""
    looks = view.looks
    far = f" At a distance of {looks.distance:,} (rotary positions; --distance)." if looks.distance is not None else ""
    return (
        f"Matching score {looks.matching_score:+.2f} (1: it looks for the same token). Of the sampled tokens "
        f"{looks.matched:.0%} match themselves best.{far}"
    )


def distances_said(distances: "Distances") -> str:
    """Where positions make it look: one or two lines."""
    if distances.positions == "none":
        return "This layer has no positions."
    order = sorted(range(len(distances.shares)), key=lambda each: -distances.shares[each])[:_MOST_DISTANCES]
    far = "at distance " + ", ".join(f"{each} ({distances.shares[each]:.0%})" for each in order)
    if distances.shares[order[0]] < _EVEN:
        far = f"at no distance in particular (at most {distances.shares[order[0]]:.0%})"
    slope = f" ALiBi lowers its scores by {distances.slope:.3g} a position." if distances.slope is not None else ""
    return (
        f"{distances.positions.capitalize() if distances.positions != 'alibi' else 'ALiBi'} positions: in a text of "
        f"{distances.length:,} equal (mean) tokens it looks most {far}; {distances.first:.0%} goes to the "
        f"first position.{slope}"
    )


def _kind(view: "HeadView") -> "Iterator[Text]":
    from rich.text import Text

    said = _kind_said(view)
    if said:
        yield Text("\nIts kind, in a run", style="bold")
        yield Text(said[0])


def _kind_said(view: "HeadView") -> list[str]:
    if view.label is None:
        return []
    label = view.label
    scores = (
        f"previous token {label.previous_token:.2f}, first token {label.first_token:.2f}, "
        f"same token {label.same_token:.2f}, induction {label.induction:.2f}"
    )
    name = "No single kind" if label.kind is None else label.kind.capitalize()
    return [f"{name}: {scores} of its attention on random tokens that come twice (a name from {view.named_from:g})."]


def draw_scan(scan: "HeadScan") -> "RenderableType":
    """A row for each head."""
    from rich.console import Group
    from rich.text import Text

    kinds = ("kind", ">share") if scan.named_from is not None else ()
    made = table("head", ">copying", BARS, ">copied", ">matching", ">distance", *kinds)
    for number, each in enumerate(scan.heads):
        made.add_row(
            f"{each.layer}.{each.head}",
            f"{each.copying_score:+.2f}",
            SignedBar(each.copying_score),
            f"{each.copied:.0%}",
            f"{each.matching_score:+.2f}",
            _preferred(each),
            *(_strongest(each.label, scan.named_from) if kinds else ()),
            end_section=number + 1 < len(scan.heads) and scan.heads[number + 1].layer != each.layer,
        )
    head = Text(f"The {len(scan.heads):,} heads of {scan.model} by their weights", style="bold")
    return Group(
        head,
        narrowing(made, "share", "matching", "copied", BARS),
        *(Text(line, style="dim") for line in _scan_said(scan)),
    )


def _preferred(head: "HeadFigures") -> str:
    return "even" if head.preferred_share < _EVEN else f"{head.preferred} ({head.preferred_share:.0%})"


def _strongest(label: "HeadLabel | None", named_from: float | None) -> tuple[str, str]:
    if label is None or named_from is None:
        return "", ""
    return (label.nearest if label.kind is not None else f"({label.nearest})"), f"{label.score:.2f}"


def _scan_said(scan: "HeadScan") -> list[str]:
    lines = [
        "copying: 1 raises the token that it sees, -1 lowers it · matching: 1 looks for the same token",
        f"copied: the share of {scan.sampled:,} tokens that raise themselves most of all {scan.n_vocab:,}",
        "distance: where positions alone make it look most, and how much of its attention goes there; even: under "
        f"{_EVEN:.0%}",
    ]
    if scan.named_from is not None:
        lines.append(
            f"kind and share: attention on random tokens that come twice; in brackets below {scan.named_from:g}"
        )
    if not scan.complete:
        lines.append(f"interrupted after {len(scan.heads):,} of {scan.n_layer * scan.n_head:,} heads")
    return lines


def draw_scan_page(scan: "HeadScan") -> Page:
    """The page: a map of the copying scores, layers by heads, with all figures of each."""
    rows: dict[int, list[HeadFigures]] = {}
    for each in scan.heads:
        rows.setdefault(each.layer, []).append(each)

    def cell(each: "HeadFigures") -> Cell:
        numbers = (
            f"{each.copying_score:+.3f}",
            f"{each.copied:.1%}",
            f"{each.matching_score:+.3f}",
            _preferred(each),
            " ".join(_strongest(each.label, scan.named_from)).strip() or "not measured",
        )
        return Cell(f"{each.copying_score:+.2f}", (each.copying_score + 1) / 2, numbers)

    grid = Grid(
        title="How far each head copies",
        names=("copying", "copied", "matching", "distance", "kind"),
        rows=[f"layer {layer}" for layer in rows],
        columns=[f"head {number}" for number in range(1, scan.n_head + 1)],
        cells=[[*map(cell, heads), *[None] * (scan.n_head - len(heads))] for heads in rows.values()],
        large=True,
        legend=Legend("copying", [(f"{step / 2:+g}", (step / 2 + 1) / 2) for step in range(-2, 3)], signed=True),
    )
    return Page(f"The heads of {scan.model} by their weights", _scan_said(scan), [grid], thing="head")
