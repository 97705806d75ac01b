"""``gptcli head``: what a head does, by its weights."""

from typing import TYPE_CHECKING, Annotated

import typer

from gptcli.cli import options
from gptcli.cli.option_groups import OutputOptions, RunOptions, grouped
from gptcli.errors import InputError

if TYPE_CHECKING:
    from gptcli.checkpoint.read import Checkpoint
    from gptcli.inspection.head_sample import Labels

_HEAD = "Head"


@grouped
def head(
    place: Annotated[
        str | None,
        typer.Argument(metavar="LAYER.HEAD", show_default=False, help="Which head, from 1: 8.3 is head 3 of layer 8."),
    ] = None,
    all_heads: Annotated[
        bool, typer.Option("--all", help="One row for each head of the model.", rich_help_panel=_HEAD)
    ] = False,
    token: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="List this token. Repeatable.", rich_help_panel=_HEAD),
    ] = None,
    distance: Annotated[
        int,
        typer.Option(metavar="N", help="How far back a query looks (rotary positions).", rich_help_panel=_HEAD),
    ] = 1,
    through: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default="1, and 0 for layer 1",
            help="Layers that each token goes through alone first; 0 is its embedding.",
            rich_help_panel=_HEAD,
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            show_default="1000, and 200 with --all",
            help="Frequent tokens on which shares are measured; 0 is all.",
            rich_help_panel=_HEAD,
        ),
    ] = None,
    no_kind: Annotated[
        bool,
        typer.Option("--no-kind", help="Only the weights: nothing is run.", rich_help_panel=_HEAD),
    ] = False,
    top: options.TopOption = 8,
    *,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Show what a head moves and what it looks for, by its weights.

    Two circuits (Elhage et al. 2021). What it moves: the tokens that it
    raises when it looks at a token, and how far it copies. What it looks for:
    the tokens that a token matches. Its kind is measured in a run, as
    attention does.

    A token is what layer 1 makes of it alone (Wang et al. 2022). What is left
    out: the layers between, other tokens, and learned positions, whose part
    stands on a line of its own.

    \b
    gptcli head 8.3
    gptcli head 8.3 --token Tom --token dragon
    gptcli head 4.1 --through 0              by the embeddings alone
    gptcli head 2.4 -m smollm2-135m --distance 5
    gptcli head --all                        a row for each head
    """
    from gptcli.inspection.by_weights import view_head
    from gptcli.inspection.head_scan import scan_heads
    from gptcli.show.circuits import draw_head, draw_head_page, draw_scan, draw_scan_page
    from gptcli.show.terminal.progress import progress_bar

    if all_heads == (place is not None):
        raise InputError("give one head, such as 8.3, or --all")
    options.at_most("--token", token, options.MOST_TRACKS)
    options.forbid_together("--all", given=all_heads, token=token)
    checkpoint = run.read()
    labels = None if no_kind else _labels(run, checkpoint)
    if place is not None:
        sampled = 1000 if tokens is None else tokens
        answer = view_head(
            checkpoint,
            place,
            words=token or [],
            top=top,
            distance=distance,
            sampled=sampled,
            through=through,
            labels=labels,
        )
        return output.present(answer, lambda: draw_head(answer), page=lambda: draw_head_page(answer))
    with progress_bar("heads") as progress:
        scan = scan_heads(
            checkpoint,
            sampled=200 if tokens is None else tokens,
            distance=distance,
            through=through,
            labels=labels,
            progress=progress,
        )
    output.present(scan, lambda: draw_scan(scan), page=lambda: draw_scan_page(scan))


def _labels(run: RunOptions, checkpoint: "Checkpoint") -> "Labels":
    """Measures the kinds of all heads, in a run of the model, when they are needed."""

    def measured() -> "object":
        from gptcli.checkpoint.open import OpenCheckpoint
        from gptcli.inspection.heads import label_heads

        return label_heads(OpenCheckpoint(checkpoint, run.placement(), inside=False))

    return measured  # type: ignore[return-value]
