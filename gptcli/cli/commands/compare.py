"""``gptcli compare``: two models side by side, or one in two precisions."""

from pathlib import Path
from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.cli.texts import TextOptions

_NAME = "A model (-m), and after a colon a precision: float32, bfloat16, float16, int8, int4."


@grouped
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=_NAME)],
    b: Annotated[
        str,
        typer.Argument(metavar="B", help="Another; a precision alone (:int4) is of A."),
    ],
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="To read with both; - reads stdin.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Read the text from a file.")
    ] = None,
    raw: options.RawOption = False,
    weights: Annotated[bool, typer.Option("--weights/--no-weights", help="Compare the weights.")] = True,
    bos: Annotated[bool, typer.Option("--bos", help="Read <|endoftext|> before the text.")] = False,
    stride: Annotated[
        int | None,
        typer.Option(
            metavar="N", show_default="half the context", help="Tokens by which the window moves in a long text."
        ),
    ] = None,
    top: options.TopOption = 20,
    n_head: options.NHeadOption = None,
    device: options.DeviceOption = options.Device.auto,
    timeout: options.TimeoutOption = None,
    *,
    output: OutputOptions,
) -> None:
    """Compare two models, or one in two precisions.

    Shows both configurations and which weights differ by how much; with a text,
    the bits of each token and the KL divergence of B's distribution from A's,
    with the totals of llama.cpp's perplexity tool. Weights are compared as the
    models have them, whatever the layout of their files.

    \b
    gptcli compare tales tales:int4 "Once upon a time there was a girl"
    gptcli compare tales :int8 -f story.txt --no-weights
    gptcli compare gpt2 distilgpt2 --json
    gptcli compare tales :bfloat16 --csv > tensors.csv
    gptcli compare ./before ./after --top 5
    """
    options.require_owner("TEXT or -f", given=text is not None or file is not None, stride=stride, bos=bos or None)
    texts = TextOptions(None if file is None else [file], raw=raw)
    given = None if text is None and file is None else texts.one(text, "TEXT").text

    from gptcli.measuring import compare as measuring
    from gptcli.show.compare import draw, draw_page
    from gptcli.show.terminal.progress import progress_bar
    from gptcli.system.notices import notices

    answer = measuring.compare(
        a,
        b,
        given,
        weights=weights,
        bos=bos,
        stride=stride,
        device=device.value,
        n_head=n_head,
        watch=progress_bar,
    )
    notices(answer.notes)
    output.present(answer, lambda: draw(answer, top), page=lambda: draw_page(answer, top))
