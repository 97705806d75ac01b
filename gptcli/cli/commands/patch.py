"""``gptcli patch``: causal tracing."""

from enum import Enum
from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.inputs import text_argument
from gptcli.cli.option_groups import OutputOptions, RunOptions, grouped
from gptcli.system.notices import notice, notices

_PANEL = "Patching"


class Measure(str, Enum):
    """What is measured."""

    logit = "logit"
    probability = "probability"


@grouped
def patch(
    clean: Annotated[str, typer.Argument(metavar="CLEAN", help="The text whose run is copied from.")],
    corrupted: Annotated[str, typer.Argument(metavar="CORRUPTED", help="The text whose run is mended.")],
    token: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            show_default="what follows CLEAN",
            help="The token that is to come back.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    versus: Annotated[str | None, options.versus_option(_PANEL)] = None,
    measure: Annotated[Measure, typer.Option(help="Of the token.", rich_help_panel=_PANEL)] = Measure.logit,
    heads: Annotated[
        bool, typer.Option("--heads", help="Copy heads, at all positions.", rich_help_panel=_PANEL)
    ] = False,
    freeze_attention: Annotated[
        bool,
        typer.Option("--freeze-attention", help="Look where the corrupted run looks.", rich_help_panel=_PANEL),
    ] = False,
    raw: options.RawOption = False,
    *,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Trace a prediction to its causes: copy parts of one run into another.

    CLEAN and CORRUPTED differ in a word or two, and are equally long. The
    corrupted text is read again and again, each time with one activation of
    the clean run in place of its own. The maps show where that brings the
    clean prediction back: 1 is all of it, 0 nothing. Ctrl-C shows the layers
    that are done.

    \b
    gptcli patch "Sara met Ben. Sara said hello to" "Sara met Ben. Ben said hello to" --token Ben --versus Sara
    gptcli patch "Sara met Ben. Sara said hello to" "Sara met Ben. Ben said hello to" --heads
    """
    texts = text_argument(clean, "CLEAN", escapes=not raw), text_argument(corrupted, "CORRUPTED", escapes=not raw)

    from gptcli.inspection import patching
    from gptcli.probability.distribution import words_cut
    from gptcli.show.patching import draw, draw_page
    from gptcli.show.terminal.progress import progress_bar

    checkpoint = run.open(inside=False)
    with progress_bar("patching") as progress:
        answer = patching.patch(
            checkpoint,
            *texts,
            token=token,
            versus=versus,
            measure=measure.value,
            heads=heads,
            frozen=freeze_attention,
            progress=progress,
        )
    notices(words_cut(checkpoint.tokenizer, [word for word in (token, versus) if word], texts[0]))
    output.present(answer, lambda: draw(answer), page=lambda: draw_page(answer))
    if not answer.complete:
        notice("interrupted: the maps have what is done")
        raise typer.Exit(130)
