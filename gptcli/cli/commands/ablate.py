"""``gptcli ablate``: what each head and MLP does for a prediction."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.change_options import By
from gptcli.cli.inputs import text_argument
from gptcli.cli.option_groups import OutputOptions, RunOptions, grouped
from gptcli.system.notices import notice, notices

_PANEL = "Ablation"


class Measure(str, Enum):
    """What is measured."""

    logit = "logit"
    probability = "probability"
    loss = "loss"


@grouped
def ablate(
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The text; - or none reads stdin.")] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            show_default="the model's prediction",
            help="The token after the text that is measured.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    versus: Annotated[str | None, options.versus_option(_PANEL)] = None,
    measure: Annotated[
        Measure,
        typer.Option(help="logit and probability of the token, or loss: of the whole text.", rich_help_panel=_PANEL),
    ] = Measure.logit,
    by: Annotated[By, typer.Option(help="What stands in a part's place.", rich_help_panel=_PANEL)] = By.zero,
    over: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default="the text itself",
            help="The text that --by mean averages over.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    from_text: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The text that --by resample takes from.", rich_help_panel=_PANEL),
    ] = None,
    freeze_attention: Annotated[
        bool,
        typer.Option(
            "--freeze-attention", help="Look where the whole model looks: direct effects.", rich_help_panel=_PANEL
        ),
    ] = False,
    top: options.TopOption = 10,
    raw: options.RawOption = False,
    *,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Take out each head and each MLP in turn: what does the prediction lose?

    A map of layers and heads, with a column for the MLPs: how much the
    logit of a token (or its distance to another's) falls without that part.
    Looking shows what goes together; taking out shows what it takes. Ctrl-C
    shows the layers that are done.

    \b
    gptcli ablate "Tom had a friend named Lily. Lily and" --token Tom
    gptcli ablate "Sara met Ben. Ben said hello to Sara. Sara said hello to" --token Ben --versus Sara
    gptcli ablate "Once upon a time there was a little girl" --measure loss --by mean
    gptcli generate "Sara met Ben. Sara said hello to" --without 10.1
    """
    given = text_argument(text, "TEXT", escapes=not raw)

    from gptcli.inspection.request import check_by
    from gptcli.system.text_file import read_text_file

    check_by(by.value, over is not None, from_text is not None)
    average = None if over is None else read_text_file(over)

    from gptcli.inspection import ablation
    from gptcli.probability.distribution import words_cut
    from gptcli.show.ablation import draw, draw_page
    from gptcli.show.terminal.progress import progress_bar

    checkpoint = run.open(inside=False)
    with progress_bar("taking out") as progress:
        answer = ablation.ablate(
            checkpoint,
            given,
            token=token,
            versus=versus,
            measure=measure.value,
            by=by.value,
            over=average,
            source=from_text,
            frozen=freeze_attention,
            progress=progress,
        )
    notices(words_cut(checkpoint.tokenizer, [word for word in (token, versus) if word], given))
    if by is By.mean and over is None and len(answer.tokens) == 1:
        notice(
            "--by mean: the text is one token, whose mean is itself, so nothing changes (--over FILE averages a text)"
        )
    listed = answer.strongest(top)
    output.present(answer, lambda: draw(answer, listed), page=lambda: draw_page(answer, listed))
    if not answer.complete:
        notice(f"interrupted: {len(answer.layers)} of {answer.n_layer} layers are done")
        raise typer.Exit(130)
