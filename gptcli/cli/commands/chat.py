"""``gptcli chat``: a conversation with a model that only continues texts."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from gptcli.cli.inputs import stdin_lines
from gptcli.cli.option_groups import EngineOptions, SamplingOptions, grouped

_SCENE = "The scene"


class Layout(str, Enum):
    """How turns become a prompt; ``auto`` goes by the model."""

    auto = "auto"
    script = "script"
    eos = "eos"


@grouped
def chat(
    system: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            show_default="a helpful assistant",
            help="What stands before the first turn.",
            rich_help_panel=_SCENE,
        ),
    ] = None,
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Your name in the script.", rich_help_panel=_SCENE)
    ] = "User",
    assistant: Annotated[
        str, typer.Option(metavar="NAME", help="The model's name.", rich_help_panel=_SCENE)
    ] = "Assistant",
    layout: Annotated[
        Layout,
        typer.Option(
            "--format",
            help="A script with names, or turns between end-of-text tokens (DialoGPT).",
            rich_help_panel=_SCENE,
        ),
    ] = Layout.auto,
    max_new_tokens: Annotated[
        int,
        typer.Option(
            "--max-new-tokens", "-n", metavar="N", min=1, help="At most so many in an answer.", rich_help_panel="Length"
        ),
    ] = 100,
    *,
    choosing: SamplingOptions,
    run: EngineOptions,
    json: Annotated[bool, typer.Option("--json", help="One object an answer.", rich_help_panel="Output")] = False,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save it at the end: .json, .txt, .html, .svg.", rich_help_panel="Output"),
    ] = None,
) -> None:
    """Chat with a model that only continues texts.

    The system text sets the scene, your turn and the model's follow as in a
    script, and what it writes before your next turn is its answer. /help
    lists the commands; /prompt shows all that the model sees.

    \b
    gptcli chat -m gpt2-xl
    gptcli chat -m dialogpt-medium
    gptcli chat --system "A hungry wolf meets a pig." --user Pig --assistant Wolf
    echo "Where do you live?" | gptcli chat --seed 1
    """
    from gptcli.sampling.draw import seed_or_drawn
    from gptcli.show.chat import Conversation, check_file

    sampling = choosing.sampling()
    seed = seed_or_drawn(choosing.seed)
    if save is not None:
        check_file("--save", save)

    from gptcli.checkpoint.source import find
    from gptcli.generation.chat.conversation import Chat
    from gptcli.generation.chat.turns import format_for
    from gptcli.generation.logit_bias import with_logit_bias

    opened = run.open()
    talk = Chat(
        opened.engine,
        opened.tokenizer,
        format_for(layout.value, run.model, find(run.model).config, user=user, assistant=assistant),
        with_logit_bias(sampling, opened.tokenizer, choosing.logit_bias or []),
        seed=seed,
        n_vocab=opened.n_vocab,
        eos_ids=opened.eos_ids,
        system=system,
        max_new_tokens=max_new_tokens,
    )

    Conversation(talk, run.model, stdin_lines(), as_json=json).run(save)
