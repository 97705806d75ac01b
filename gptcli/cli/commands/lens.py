"""``gptcli lens``: what each layer would say."""

from dataclasses import replace
from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.change_options import ChangeOptions
from gptcli.cli.inputs import prompt_argument
from gptcli.cli.option_groups import OutputOptions, RunOptions, grouped
from gptcli.system.notices import notices

_LENS = "Lens"


@grouped
def lens(
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="The text; - or none reads stdin.")] = None,
    sublayers: Annotated[
        bool, typer.Option("--sublayers", help="Also between attention and MLP.", rich_help_panel=_LENS)
    ] = False,
    token: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="Follow this token. Repeatable.", rich_help_panel=_LENS),
    ] = None,
    attribution: Annotated[
        bool,
        typer.Option("--attribution", help="Contribution of each head and MLP to the logit.", rich_help_panel=_LENS),
    ] = False,
    top: options.TopOption = 20,
    raw: options.RawOption = False,
    *,
    run: RunOptions,
    changes: ChangeOptions,
    output: OutputOptions,
) -> None:
    """Watch a model make up its mind: the best guess after every layer.

    The logit lens: after each layer the residual stream goes through the
    final norm and the unembedding, as if that layer were the last. The last
    row is what the model says. --attribution takes a logit apart into what
    the embedding, every head, every MLP and the biases add to it.

    \b
    gptcli lens "Once upon a time there was a little"
    gptcli lens "The king and the" --token queen --token dragon
    gptcli lens "The king and the" --sublayers
    gptcli lens "The king and the" --attribution
    gptcli lens "The king and the" --attribution --token queen --top 10
    gptcli lens "The king and the" --without mlp:1
    """
    text = prompt_argument(prompt, raw=raw)
    options.at_most("--token", token, options.MOST_TRACKS)

    from gptcli.inspection import lens as inspection
    from gptcli.probability.distribution import words_cut
    from gptcli.show.attribution import draw as draw_attribution
    from gptcli.show.lens import draw, draw_page

    checkpoint = changes.open(run, inside=attribution)
    seen, record = inspection.lens(checkpoint, text, sublayers=sublayers, words=token or [], attribution=attribution)
    notices(words_cut(checkpoint.tokenizer, token or [], text))
    parts = []
    if record is not None and attribution:
        from gptcli.inspection.attribution import attribute

        parts = [attribute(checkpoint.model, record, each.id, each.token) for each in seen.tracks]
    answer = replace(seen, attribution=parts)
    output.present(
        answer,
        lambda: draw(seen, [draw_attribution(part, top) for part in parts]),
        page=lambda: draw_page(seen, parts, top),
    )
