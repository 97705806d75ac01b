"""The picture of ``gptcli attention --from WORD``: the strongest links of a word as arcs, and as a list."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gptcli.show.blocks.pictures import Bar, table
from gptcli.show.blocks.word_map import shortened
from gptcli.show.looking import link_said
from gptcli.text import token_text, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

    from gptcli.inspection.attention import Attention
    from gptcli.inspection.links import Link, WordLinks

_MOST_ARCS = 5
_LONGEST = 16  # columns of a word


@dataclass(frozen=True)
class LinkPicture:
    """For each word its arcs over the text, and a list of its links."""

    answer: "Attention"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Lay it out for the terminal's width."""
        from rich.text import Text

        for index, word in enumerate(self.answer.links):
            if index:
                yield Text()
            yield _headline(word)
            yield Text()
            yield from arcs(self.answer.texts, word, options.max_width)
            yield _listed(self.answer.texts, word)
            yield Text(link_sentence(self.answer, word), style="bold")


def link_sentence(answer: "Attention", word: "WordLinks") -> str:
    """The strongest link of a word to one further back, or that its list has none."""
    further = [link for link in word.links if link.key > 1 and link.query - link.key > 1]
    if not further:
        return "The strongest links are with itself, its neighbour and the first token, as most heads have them."
    return f"Further back: {link_said(answer.texts, further[0], where=True)}."


def _headline(word: "WordLinks") -> "Text":
    from rich.text import Text

    text = visible(word.word, keep="")
    which = "" if word.occurrences == 1 else f", occurrence {word.occurrence} of {word.occurrences}"
    looks = "looks back at" if word.looks else "is looked at by"
    place = f" (position {', '.join(map(str, word.positions))}{which}) "
    return Text(text, style="bold").append(place, style="not bold dim").append(f"{looks}:")


def _listed(tokens: Sequence[bytes], word: "WordLinks") -> "RenderableType":
    listed = table("token", ">position", ">layer", ">head", ">weight", "")
    for link in word.links:
        there = link.key if word.looks else link.query
        listed.add_row(
            _told(tokens, link, there),
            f"{there:,}",
            f"{link.layer}",
            f"{link.head}",
            f"{link.weight:.3f}",
            Bar(link.weight),
        )
    return listed


def _told(tokens: Sequence[bytes], link: "Link", there: int) -> "Text":
    from rich.text import Text

    note = "  itself" if link.key == link.query else "  first token" if there == 1 else ""
    return Text(shortened(token_text(tokens[there - 1]), _LONGEST)).append(note, style="dim")


class Linked(Protocol):
    """A link as it is drawn (see ``inspection.links.Link``)."""

    @property
    def layer(self) -> int:
        """From 1."""

    @property
    def head(self) -> int:
        """From 1."""

    @property
    def query(self) -> int:
        """The position that looks, from 1."""

    @property
    def key(self) -> int:
        """The position that is looked at, from 1."""

    @property
    def weight(self) -> float:
        """Its share of the query's attention."""


class LinkedWord(Protocol):
    """A word as its arcs are drawn (see ``inspection.links.WordLinks``)."""

    @property
    def looks(self) -> bool:
        """Whether it looks, or is looked at."""

    @property
    def positions(self) -> list[int]:
        """Of its tokens, from 1."""

    @property
    def links(self) -> "Sequence[Linked]":
        """The strongest first."""


def arcs(tokens: Sequence[bytes], word: LinkedWord, width: int) -> "Iterator[Text]":
    """Arcs from the word to the tokens it is linked with, the farthest on top; nothing if there is none to draw."""
    from rich.text import Text

    here = word.positions[-1] if word.looks else word.positions[0]
    strongest: dict[int, Linked] = {}
    for link in word.links:
        there = link.key if word.looks else link.query
        if there not in word.positions:
            strongest.setdefault(there, link)
    shown = dict(list(strongest.items())[:_MOST_ARCS])
    while shown:
        columns, line = _text_line(tokens, {here, *shown}, width)
        if columns is not None:
            break
        shown.popitem()
    else:
        return
    centre = columns[here]
    for there in sorted(shown, key=lambda each: -abs(each - here)):
        yield Text(_arc(shown, columns, there, centre, here), style="dim", no_wrap=True, overflow="crop")
    feet = "".join("│" if column in {columns[each] for each in (here, *shown)} else " " for column in range(width))
    yield Text(feet.rstrip(), style="dim", no_wrap=True)
    yield line
    yield Text()


def _arc(shown: dict[int, Linked], columns: dict[int, int], there: int, centre: int, here: int) -> str:
    """One arc as a line, with the feet of the arcs above it."""
    left, right = sorted((columns[there], centre))
    farther = [columns[each] for each in shown if abs(each - here) > abs(there - here)]
    cells = dict.fromkeys(farther, "│")
    cells.update(dict.fromkeys(range(left + 1, right), "─"))
    own, end = ("╭", "┤" if farther else "╮") if columns[there] == left else ("╮", "├" if farther else "╭")
    cells[columns[there]], cells[centre] = own, end
    link = shown[there]
    for label in (
        f" {link.weight:.2f} layer {link.layer} head {link.head} ",
        f" {link.weight:.2f} ",
        f"{link.weight:.2f}",
    ):
        if len(label) <= right - left - 1 - label.count(" "):
            start = left + 1 + (right - left - 1 - len(label)) // 2
            cells.update({start + index: character for index, character in enumerate(label)})
            break
    return "".join(cells.get(column, " ") for column in range(max(cells) + 1))


def _text_line(tokens: Sequence[bytes], wanted: set[int], width: int) -> "tuple[dict[int, int] | None, Text]":
    """The text on one line, shortened between the wanted positions if it is too wide, and where their middles are."""
    from rich.cells import cell_len
    from rich.text import Text

    labels = {each: shortened(token_text(token), _LONGEST) for each, token in enumerate(tokens, start=1)}
    for reach, gap in ((len(tokens), 3), (len(tokens), 2), (len(tokens), 1), (2, 1), (1, 1), (0, 1)):
        near = [each for each in labels if any(abs(each - other) <= reach for other in wanted)]
        line, columns, before = Text(no_wrap=True), {}, 0
        for each in near:
            line.append("  … " if each != before + 1 else " " * gap if before else "")
            columns[each] = cell_len(line.plain) + cell_len(labels[each]) // 2
            line.append(labels[each], style="bold" if each in wanted else "dim")
            before = each
        line.append(" …" if near[-1] < len(tokens) else "", style="dim")
        if cell_len(line.plain) <= width:
            return columns, line
    return None, Text()
