"""``gptcli softmax``: softmax with a temperature, on one's own numbers."""

from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.inputs import words_argument
from gptcli.cli.option_groups import OutputOptions, grouped


@grouped
def softmax(
    numbers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LABEL=]NUMBER", help="The numbers (logits); - or none reads them from stdin."),
    ] = None,
    temperature: Annotated[
        str, typer.Option("--temperature", "-t", metavar="T[,T...]", help="One or several; 0 takes the largest.")
    ] = "1",
    *,
    output: OutputOptions,
) -> None:
    """Turn any numbers into probabilities: softmax, with a temperature.

    Each number is divided by the temperature, e is raised to it, and the
    results are divided by their sum. A low temperature favours the largest
    number, a high one makes all alike. -inf is a place that a mask closes.

    \b
    gptcli softmax 3 1 0.2
    gptcli softmax 3 1 0.2 -t 0,1,5
    gptcli softmax cat=3 dog=1 fish=-2 -t 0.5,1,2
    printf '3\\n1\\n-1\\n' | gptcli softmax
    """
    from gptcli.probability.own_numbers import parse, softmax_of
    from gptcli.show.softmax import draw, draw_page

    given = parse(words_argument(numbers, "NUMBER"))
    answer = softmax_of(given, options.number_list(temperature, "--temperature"))

    output.present(answer, lambda: draw(answer), page=lambda: draw_page(answer))


# -2 is a number, not an option.
softmax.context_settings = {"ignore_unknown_options": True}  # type: ignore[attr-defined]
