"""``gptcli score``: how surprising a text is."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from gptcli.cli import options
from gptcli.cli.change_options import ChangeOptions
from gptcli.cli.option_groups import EngineOptions, OutputOptions, grouped
from gptcli.cli.texts import Sources, TextOptions, answered
from gptcli.errors import InputError
from gptcli.show.terminal.console import print_json
from gptcli.system.answer import row_of
from gptcli.system.notices import notice

if TYPE_CHECKING:
    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.probability.scoring import Score


@grouped
def score(
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The text; - or none reads stdin.")] = None,
    *,
    texts: TextOptions,
    bos: Annotated[bool, typer.Option("--bos", help="Read <|endoftext|> first, and score every token.")] = False,
    stride: Annotated[
        int | None,
        typer.Option(
            metavar="N", show_default="half the context", help="Tokens by which the window moves in a long text."
        ),
    ] = None,
    no_overlap: Annotated[
        bool, typer.Option("--no-overlap", help="Read a long text once: faster, with less before some tokens.")
    ] = False,
    run: EngineOptions,
    changes: ChangeOptions,
    summary: Annotated[
        bool, typer.Option("--summary", help="Only the totals, one line a text.", rich_help_panel="Output")
    ] = False,
    top: options.TopOption = 20,
    output: OutputOptions,
) -> None:
    """Score a text: how surprising each token is to the model.

    The surprisal of a token is -log2 of the probability that the model gave
    it; their sum says how well the model would compress the text. One newline at
    the end of a pipe or a file is left out, because echo adds it.

    A text longer than the context is read in windows that overlap by half, so
    that each token has enough before it. Several files, or --lines, have a row
    each; what has too few tokens to be scored has no figures.

    \b
    gptcli score "Once upon a time there was a little girl"
    gptcli score --bos "The king and the refrigerator"
    gptcli score --top 5 -f story.txt
    gptcli score --summary -f one.txt -f two.txt
    gptcli score --lines -f sentences.txt --json > scores.jsonl
    gptcli score --stride 64 --json < story.txt
    gptcli score "Once upon a time" --without mlp:3 --by mean
    """
    options.forbid_together("--no-overlap", given=no_overlap, stride=stride)
    if output.save is not None and (texts.several or summary):
        raise InputError("--save saves the picture of one text, and these are totals: redirect them instead (> FILE)")
    given = texts.each(text, "TEXT") if texts.several else texts.one(text, "TEXT")

    from gptcli.probability import scoring
    from gptcli.show.changed import tell
    from gptcli.show.score import draw, draw_page, print_summary
    from gptcli.show.terminal.progress import progress_bar

    checkpoint = changes.open(run)
    stride = checkpoint.config.n_positions if no_overlap else stride
    if isinstance(given, Sources):
        return _score_each(checkpoint, given, bos, stride, output, summary=summary)
    with progress_bar("scoring") as progress:
        answer = scoring.score(checkpoint, given.text, bos=bos, stride=stride, progress=progress)
    _tell_reread(answer, told=stride is not None)
    if summary:
        tell(answer.changes)
        print_summary(scoring.summary(replace(answer, file=given.file), given.text), given.name, output.form)
    else:
        output.present(answer, lambda: draw(answer, top), page=lambda: draw_page(answer, top))


def _score_each(
    checkpoint: "OpenCheckpoint",
    sources: Sources,
    bos: bool,
    stride: int | None,
    output: OutputOptions,
    *,
    summary: bool,
) -> None:
    """Score several texts: an object or a row each."""
    from gptcli.probability import scoring
    from gptcli.show.changed import tell
    from gptcli.show.score import SummaryRows
    from gptcli.show.terminal.progress import progress_beside_rows

    def scores(each: Iterator[str | None]) -> "Iterator[Score]":
        return scoring.score_each(checkpoint, each, bos=bos, stride=stride)

    tell(checkpoint.told_changes)
    rows, unscored = None if output.form else SummaryRows(), 0
    table = output.table()
    with progress_beside_rows("scoring") as progress:
        for source, answer in answered(sources, scores):
            answer = replace(answer, file=source.file, line=source.line)
            unscored += answer.scored == 0
            progress(sources.done, sources.total)
            if rows is not None:
                rows.add(scoring.summary(answer, source.text), source.name if source.line is None else source.text)
            elif table is not None:
                table.add([row_of(scoring.summary(answer, source.text))])
            else:
                print_json(scoring.summary(answer, source.text) if summary else answer, indent=None)
    if rows is not None:
        rows.total()
    if unscored:
        has = "has" if unscored == 1 else "have"
        notice(f"{unscored:,} of the texts {has} no token to score: it takes two, or one and --bos")


def _tell_reread(answer: "Score", *, told: bool) -> None:
    """Tell how much of a long text is read twice, unless the stride was chosen."""
    from gptcli.probability.scoring import reread

    again = reread(len(answer.tokens), answer.context, answer.stride)
    if again and not told:
        notice(
            f"{len(answer.tokens):,} tokens are more than the context of {answer.context:,}: to have enough before "
            f"each, {again:,} were read twice (--no-overlap reads them once)"
        )
