"""``gptcli params``: where a GPT's parameters live."""

from typing import Annotated

import typer

from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.cli.options import (
    DEFAULT_MODEL,
    ModelOption,
    NHeadOption,
    TimeoutOption,
    given_on_command_line,
)
from gptcli.errors import InputError
from gptcli.system.notices import notice
from gptcli.text import clipped


@grouped
def params(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", show_default=False, help="A checkpoint, or a published size such as gpt3."),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    n_head: NHeadOption = None,
    timeout: TimeoutOption = None,
    *,
    output: OutputOptions,
) -> None:
    """Count a GPT's parameters by what they do, down to the exact number.

    First the scoreboard of 3Blue1Brown's chapters: embedding, key, query,
    value, output, up- and down-projection, unembedding. Then what it leaves
    out (positions, biases, layer norms) or counts twice (a tied unembedding),
    the tensors of the files, and the memory that they take. Only headers are
    read, also on the hub: 100 GB are counted in a second without a download.

    MODEL is a folder, a .safetensors file or a bundled checkpoint, else a
    published size: gpt2, gpt2-medium, gpt2-large, gpt2-xl, gpt3-small,
    gpt3-medium, gpt3-large, gpt3-xl, gpt3-2.7b, gpt3-6.7b, gpt3-13b, gpt3,
    llama-3.2-1b, llama-3.1-8b, llama-3.1-405b, qwen3-0.6b, qwen2.5-0.5b,
    smollm2-135m, smollm2-360m, smollm2-1.7b, gemma-3-270m, gemma-3-1b,
    gemma-2-2b, mistral-7b, phi-3-mini, olmo-2-1b, gpt-oss-20b, gpt-oss-120b;
    else a model of the hub, owner/name.

    \b
    gptcli params                        the bundled model
    gptcli params gpt3                   175,181,291,520 in 27,938 matrices
    gptcli params gpt2                   124,439,808, each counted once
    gptcli params gpt-oss-20b            its experts, and what a token uses
    gptcli params openai-community/gpt2  what its file on the hub holds
    gptcli params ./checkpoint --json    what a folder holds, for a script
    gptcli params gpt3 --save gpt3.svg   the picture
    """
    from gptcli.counting.parameters import count_parameters
    from gptcli.show.scoreboard import draw

    if name is not None and given_on_command_line(context, "model"):
        raise InputError(f"two models, {clipped(name)} and {clipped(model)}: name one")
    answer = count_parameters(name or model, n_head)
    for note in answer.notes:
        notice(f"note: {note}")
    output.present(answer, lambda: draw(answer))
