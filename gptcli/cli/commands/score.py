"""``gptcli score``: how surprising a text is."""

from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.change_options import ChangeOptions
from gptcli.cli.inputs import text_argument
from gptcli.cli.option_groups import EngineOptions, grouped
from gptcli.show.terminal.console import present


@grouped
def score(
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The text; - or none reads stdin.")] = None,
    bos: Annotated[bool, typer.Option("--bos", help="Read <|endoftext|> first, and score every token.")] = False,
    stride: Annotated[
        int | None,
        typer.Option(
            metavar="N", show_default="half the context", help="Tokens by which the window moves in a long text."
        ),
    ] = None,
    top: options.TopOption = 20,
    *,
    run: EngineOptions,
    changes: ChangeOptions,
    json: options.JsonOption = False,
    save: options.SaveOption = None,
) -> None:
    """Score a text: how surprising each token is to the model.

    The surprisal of a token is -log2 of the probability that the model gave
    it; their sum says how well the model would compress the text. One newline at
    the end of piped text is left out, because echo adds it.

    \b
    gptcli score "Once upon a time there was a little girl"
    gptcli score --bos "The king and the refrigerator"
    gptcli score --top 5 < story.txt
    gptcli score --stride 64 --json < story.txt
    gptcli score "Once upon a time" --without mlp:3 --by mean
    """
    given = text_argument(text, "TEXT")

    from gptcli.probability import scoring
    from gptcli.show.score import draw, draw_page
    from gptcli.show.terminal.progress import progress_bar

    checkpoint = changes.open(run)
    with progress_bar("scoring") as progress:
        answer = scoring.score(checkpoint, given, bos=bos, stride=stride, progress=progress)
    present(answer, lambda: draw(answer, top), as_json=json, save=save, page=lambda: draw_page(answer, top))
