"""``gptcli trace``: the architecture as a run."""

from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.inputs import prompt_argument
from gptcli.cli.option_groups import OutputOptions, RunOptions, grouped
from gptcli.errors import InputError
from gptcli.system.notices import notices

_STEPS = "Steps"


@grouped
def trace(
    context: typer.Context,
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="The text; - or none reads stdin.")] = None,
    layer: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Open this layer, from 1.", rich_help_panel=_STEPS)
    ] = None,
    head: Annotated[
        int | None, typer.Option(metavar="H", min=1, help="Open one head of it, from 1.", rich_help_panel=_STEPS)
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="CONFIG", help="Shapes only: a size such as gpt3, or a config.json.", rich_help_panel=_STEPS
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default="a full context",
            help="With --config: the number of tokens.",
            rich_help_panel=_STEPS,
        ),
    ] = None,
    raw: options.RawOption = False,
    full: Annotated[
        bool, typer.Option("--full", help="An opened layer step by step, not as a diagram.", rich_help_panel=_STEPS)
    ] = False,
    *,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Follow a text through a GPT, step by step.

    Each step has the shape of the data after it, its parameters, and a few
    numbers at the last token. Weights and data differ in colour and in
    brackets: ⟨weights⟩, \\[data]. An opened layer is drawn as boxes; --full
    has a line for each of its steps. The parameters of all steps sum to the
    model's.

    \b
    gptcli trace "Once upon a time there was a little"
    gptcli trace "The king and the" --layer 1
    gptcli trace "The king and the" --layer 6 --head 4
    gptcli trace "The king and the" --layer 6 --head 4 --full
    gptcli trace --config gpt3 --layer 1 --head 1
    gptcli trace --config ./checkpoint/config.json --tokens 10
    """
    from gptcli.show.trace import draw

    if config is not None:
        from gptcli.counting.tracing import trace_config

        options.forbid_together("--config", given=True, model=options.given_on_command_line(context, "model"))
        if prompt is not None:
            raise InputError("--config runs nothing, so there is no PROMPT to give; --tokens says how long it is")
        answer, notes = trace_config(config, tokens, layer=layer, head=head, n_head=run.n_head)
        notices(notes)
    else:
        if tokens is not None:
            raise InputError(f"--tokens {tokens}: it goes with --config; a PROMPT has its own tokens")
        text = prompt_argument(prompt, raw=raw)

        from gptcli.inspection import trace as inspection

        checkpoint = run.open()
        answer = inspection.trace(checkpoint, text, layer=layer, head=head)
    output.present(answer, lambda: draw(answer, full=full))
