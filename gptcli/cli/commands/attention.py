"""``gptcli attention``: where each head looks."""

from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.change_options import ChangeOptions
from gptcli.cli.inputs import prompt_argument
from gptcli.cli.option_groups import OutputOptions, RunOptions, grouped

_ATTENTION = "Attention"


@grouped
def attention(
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="The text; - or none reads stdin.")] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N-N]",
            show_default="all, or 1 of a large model",
            help="Layers from 1, or all.",
            rich_help_panel=_ATTENTION,
        ),
    ] = None,
    head: Annotated[
        str, typer.Option(metavar="N[,N-N]", help="Heads from 1, or all.", rich_help_panel=_ATTENTION)
    ] = "all",
    columns: Annotated[
        bool, typer.Option("--columns", help="Queries as columns, not rows.", rich_help_panel=_ATTENTION)
    ] = False,
    scores: Annotated[
        bool, typer.Option("--scores", help="Scores before the softmax.", rich_help_panel=_ATTENTION)
    ] = False,
    from_: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="WORD",
            help="Where WORD looks: its strongest links. Repeatable.",
            rich_help_panel=_ATTENTION,
        ),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="WORD", help="Who looks at WORD. Repeatable.", rich_help_panel=_ATTENTION),
    ] = None,
    top: options.TopOption = 10,
    raw: options.RawOption = False,
    *,
    run: RunOptions,
    changes: ChangeOptions,
    output: OutputOptions,
) -> None:
    """Show where each head looks while the model reads a text.

    One map for each head: a row for each token that looks, a column for each
    that is looked at. Under a head stands where most of its attention goes in
    this text; one head alone is drawn large, with figures. The last lines say
    what all heads do on average, and which link is most striking: the one
    that its distance and the word it goes to explain least. The first token,
    the token before and the token itself do not count for that.

    --from and --to list the strongest links of a word in all heads; the:2 is
    the second "the" of the text. With both, links from one to the other.

    \b
    gptcli attention "The king and the queen lived in a castle"
    gptcli attention "The king and the queen" --layer 3
    gptcli attention "The king and the queen" --layer 3 --head 2
    gptcli attention "The king and the queen" --layer 1-3 --head 1,4
    gptcli attention "The king and the queen" --from queen
    gptcli attention "the king and the queen" --to the:2 --layer 6
    gptcli attention "The king" --layer 3 --head 2 --columns --scores
    gptcli attention "The king and the king" --without mlp:1 --layer 2
    """
    text = prompt_argument(prompt, raw=raw)

    from gptcli.inspection import attention as inspection
    from gptcli.show.attention import draw
    from gptcli.show.attention_page import draw_page

    if from_ or to:
        options.forbid_together("--from and --to", given=True, scores=scores, columns=columns)
        options.at_most("--from and --to", [*(from_ or ()), *(to or ())], options.MOST_TRACKS)
        checkpoint = changes.open(run, inside=False)
        answer = inspection.linked(checkpoint, text, from_ or [], to or [], layers=layer, heads=head, most=top)
        return output.present(answer, lambda: draw(answer))
    checkpoint = changes.open(run, inside=False)
    answer = inspection.attention(checkpoint, text, layers=layer, heads=head, scores=scores, columns=columns)
    output.present(answer, lambda: draw(answer), page=lambda: draw_page(answer))
