"""``gptcli logits``: the probabilities of the next token."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from gptcli.cli import options
from gptcli.cli.change_options import ChangeOptions
from gptcli.cli.option_groups import EngineOptions, OutputOptions, filter_option, grouped
from gptcli.cli.texts import Sources, TextOptions, answered
from gptcli.errors import InputError
from gptcli.show.terminal.console import print_json
from gptcli.system.answer import rows_of
from gptcli.system.notices import notices

if TYPE_CHECKING:
    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.probability.next_token import NextToken
    from gptcli.sampling.settings import Sampling
    from gptcli.show.html.page import Page

_PANEL = "Probabilities"
_TOP = 20


@grouped
def logits(
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="The text; - or none reads stdin.")] = None,
    *,
    texts: TextOptions,
    top: options.TopOption = _TOP,
    temperature: Annotated[
        str, typer.Option("--temperature", "-t", metavar="T[,T...]", help="One or several.", rich_help_panel=_PANEL)
    ] = "1",
    top_k: filter_option("top-k") = 0,  # type: ignore[valid-type]
    top_p: filter_option("top-p") = 1.0,  # type: ignore[valid-type]
    min_p: filter_option("min-p") = 0.0,  # type: ignore[valid-type]
    all_positions: Annotated[
        bool, typer.Option("--all-positions", help="What was expected at each position.", rich_help_panel=_PANEL)
    ] = False,
    watch: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="Show this token too. Repeatable.", rich_help_panel=_PANEL),
    ] = None,
    run: EngineOptions,
    changes: ChangeOptions,
    output: OutputOptions,
) -> None:
    """Show what may come next: the most probable tokens, with their logits.

    Several temperatures stand side by side; with filters, kept and cut
    tokens are marked. An entropy of 0 bits means that one token has all of
    the probability. Several files, or --lines, have a row each: the first
    candidates, or the probabilities of what --watch names.

    \b
    gptcli logits "The king and the"
    gptcli logits "The king and the" -t 0.5,1,2
    gptcli logits "The king and the" -t 5 -k 20     the chapter's animation
    gptcli logits "Once upon a time" --watch dragon --watch princess
    gptcli logits "Once upon a time" --all-positions
    gptcli logits --lines -f questions.txt --watch yes --watch no
    gptcli logits "Lily and Tom went out. Lily saw" --without 5.*
    """
    options.at_most("--watch", watch, options.MOST_TEXTS)
    temperatures = options.number_list(temperature, "--temperature")
    chosen = {"temperature": temperatures != [1.0], "top_k": top_k > 0, "top_p": top_p < 1, "min_p": min_p > 0}
    options.forbid_together("--all-positions", given=all_positions, **chosen, watch=watch, top=top != _TOP)
    if texts.several:
        options.forbid_together("--all-positions", given=all_positions, lines=texts.lines, file=texts.file)
        if output.save is not None or (len(temperatures) > 1 and not output.form):
            raise InputError("several texts have a row each: give one temperature and no --save, or --json or --csv")
    given = texts.each(prompt, "PROMPT") if texts.several else texts.one(prompt, "PROMPT")

    from gptcli.sampling.settings import Sampling

    sampling = Sampling(top_k=top_k, top_p=top_p, min_p=min_p)

    from gptcli.probability import next_token
    from gptcli.probability.distribution import words_cut
    from gptcli.show import logits as pictures

    checkpoint = changes.open(run)
    if isinstance(given, Sources):
        return _each(checkpoint, given, sampling, temperatures, top, watch or [], output)
    text = given.text
    if all_positions:
        positions = next_token.all_positions(checkpoint, text)
        output.present(positions, lambda: pictures.draw_positions(positions))
    else:
        answer = next_token.next_token(
            checkpoint, text, sampling, temperatures=temperatures, top=top, watch=watch or []
        )
        notices(words_cut(checkpoint.tokenizer, watch or [], text))

        def page() -> "Page":
            from gptcli.show.logits_page import draw_page

            return draw_page(answer, next_token.logits_after(checkpoint, answer.prompt_ids))

        output.present(answer, lambda: pictures.draw_next(answer), page=page)


def _each(
    checkpoint: "OpenCheckpoint",
    sources: Sources,
    sampling: "Sampling",
    temperatures: list[float],
    top: int,
    watch: list[str],
    output: OutputOptions,
) -> None:
    """The next token of several texts: an object or a row each."""
    from gptcli.probability.distribution import words_cut
    from gptcli.probability.next_token import next_token_each
    from gptcli.show.changed import tell
    from gptcli.show.logits import NextRows
    from gptcli.show.terminal.progress import progress_beside_rows

    def distributions(each: Iterator[str | None]) -> "Iterator[NextToken]":
        return next_token_each(checkpoint, each, sampling, temperatures=temperatures, top=top, watch=watch)

    notices(words_cut(checkpoint.tokenizer, watch, "a"))
    tell(checkpoint.told_changes)
    rows, table = None if output.form else NextRows(watch), output.table()
    with progress_beside_rows("reading") as progress:
        for source, answer in answered(sources, distributions):
            progress(sources.done, sources.total)
            if table is not None:
                table.add({"file": source.file, "line": source.line} | row for row in rows_of(answer))
            elif rows is None:
                print_json(replace(answer, file=source.file, line=source.line), indent=None)
            else:
                rows.add(answer, source.text if source.file is None or source.line else source.name)
