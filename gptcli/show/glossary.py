"""``gptcli glossary``: what the words of the outputs mean."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from gptcli.errors import InputError
from gptcli.show.glossary_terms import TERMS
from gptcli.text import quoted

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

_WIDEST = 88  # columns that running text fills at most
_COLUMN = 21


@dataclass(frozen=True)
class Term:
    """A word, explained.

    Attributes:
        term: its name.
        also: other names for it, or words that it explains too.
        group: what it is about.
        meaning: two to four sentences.
        command: shows it.
        related: other terms.
    """

    term: str
    also: tuple[str, ...]
    group: str
    meaning: str
    command: str
    related: tuple[str, ...]


@dataclass(frozen=True)
class Glossary:
    """The words of the outputs, or one of them.

    Attributes:
        terms: each with its meaning.
    """

    schema: ClassVar[str] = "gptcli.glossary/1"
    table: ClassVar[str] = "terms"

    terms: list[Term]


def glossary(name: str | None) -> Glossary:
    """All terms, or the one of this name.

    Raises:
        InputError: there is no such term.
    """
    terms = [
        Term(term, also, group, meaning, command, related)
        for group, entries in TERMS.items()
        for term, (also, meaning, command, related) in entries.items()
    ]
    if name is None:
        return Glossary(terms)
    names = {each.casefold(): term for term in terms for each in (*term.also, term.term)}
    wanted = " ".join(name.split()).casefold()
    found = names.get(wanted) or names.get(wanted.replace("-", " ")) or names.get(wanted.replace(" ", "-"))
    if found is None:
        near = get_close_matches(wanted, names, n=3, cutoff=0.6)
        parts = [term.term for each, term in names.items() if len(wanted) > 2 and wanted in each.split()]
        meant = list(dict.fromkeys([*parts, *(names[each].term for each in near)]))[:3]
        advice = f"did you mean {' or '.join(meant)}?" if meant else "gptcli glossary lists its terms"
        raise InputError(f"the glossary has no {quoted(name)}: {advice}")
    return Glossary([found])


def draw_glossary(answer: Glossary) -> "RenderableType":
    """One term with its meaning; of several their names, by group."""
    return _explained(answer.terms[0]) if len(answer.terms) == 1 else _Listed(answer.terms)


def _explained(term: Term) -> "RenderableType":
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.text import Text

    head = Text(term.term, style="bold")
    if term.also:
        head.append(f"  ({', '.join(term.also)})", style="not bold dim")
    command = Text("$ ", style="dim", no_wrap=True).append(term.command, style="not dim bold")
    related = Text(f"See also: {', '.join(term.related)}", style="dim")
    return Group(Constrain(Group(head, Text(term.meaning), Text()), _WIDEST), command, Constrain(related, _WIDEST))


@dataclass(frozen=True)
class _Listed:
    """The names of terms by group, in as many columns as fit."""

    terms: Sequence[Term]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Each group with a heading, its names from top to bottom."""
        from rich.text import Text

        across = max(min(options.max_width, _WIDEST) // _COLUMN, 1)
        for group, members in groupby(self.terms, key=lambda term: term.group):
            names = [term.term for term in members]
            down = -(-len(names) // across)
            yield Text(group, style="bold")
            for row in range(down):
                yield Text("  " + "".join(name.ljust(_COLUMN) for name in names[row::down]).rstrip(), no_wrap=True)
            yield Text()
        yield Text("gptcli glossary TERM explains one.", style="dim")
