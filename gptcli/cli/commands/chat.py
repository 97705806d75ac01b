"""``gptcli chat``: a conversation with a model."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.change_options import ChangeOptions
from gptcli.cli.chat_options import PANEL, ChatOptions
from gptcli.cli.inputs import stdin_lines
from gptcli.cli.option_groups import EngineOptions, SamplingOptions, grouped


class Layout(str, Enum):
    """How turns become a prompt; ``auto`` goes by the model."""

    auto = "auto"
    script = "script"
    eos = "eos"


@grouped
def chat(
    context: typer.Context,
    turns: ChatOptions,
    user: Annotated[str, typer.Option(metavar="NAME", help="Your name in the script.", rich_help_panel=PANEL)] = "User",
    assistant: Annotated[
        str, typer.Option(metavar="NAME", help="The model's name.", rich_help_panel=PANEL)
    ] = "Assistant",
    layout: Annotated[
        Layout,
        typer.Option(
            "--format",
            help="Without a template: a script with names, or turns between end-of-text tokens (DialoGPT).",
            rich_help_panel=PANEL,
        ),
    ] = Layout.auto,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-new-tokens",
            "-n",
            metavar="N",
            min=1,
            show_default="100, or 1,000 with a template",
            help="At most so many in an answer.",
            rich_help_panel="Length",
        ),
    ] = None,
    *,
    choosing: SamplingOptions,
    run: EngineOptions,
    changes: ChangeOptions,
    json: Annotated[bool, typer.Option("--json", help="One object an answer.", rich_help_panel="Output")] = False,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save it at the end: .json, .txt, .html, .svg.", rich_help_panel="Output"),
    ] = None,
) -> None:
    """Chat with a model, by its own chat template or as a script.

    A model that was trained on conversations has a template for them, and
    its sampling is what its makers recommend (generation_config.json). One
    that only continues texts gets a script: the system text sets the scene,
    and what it writes before your next turn is its answer. /help lists the
    commands; /prompt shows all that the model sees.

    \b
    gptcli chat -m HuggingFaceTB/SmolLM2-135M-Instruct
    gptcli chat -m gpt2-xl
    gptcli chat --system "A hungry wolf meets a pig." --user Pig --assistant Wolf
    echo "Where do you live?" | gptcli chat --seed 1
    printf '/scene\\nWho are you?\\n' | gptcli chat
    """
    from gptcli.sampling.draw import seed_or_drawn
    from gptcli.show.chat import Conversation, check_file

    turns.check(layout.value)
    sampling = choosing.sampling()
    seed = seed_or_drawn(choosing.seed)
    if save is not None:
        check_file("--save", save)

    from gptcli.generation.chat.conversation import Chat
    from gptcli.generation.chat.layout import starting_sampling
    from gptcli.generation.chat.scenes import scene_of
    from gptcli.generation.logit_bias import with_logit_bias
    from gptcli.show.changed import tell

    made = turns.layout(run.model, layout.value, user=user, assistant=assistant)
    opened = changes.open(run)
    tell(opened.told_changes)
    given = {name for name in vars(choosing) if options.chosen_by_user(context, name)}
    sampling = starting_sampling(sampling, given, opened.what.generation)
    talk = Chat(
        opened.engine,
        opened.tokenizer,
        made,
        with_logit_bias(sampling, opened.tokenizer, choosing.logit_bias or []),
        seed=seed,
        n_vocab=opened.n_vocab,
        eos_ids=opened.eos_ids,
        system=turns.system,
        max_new_tokens=max_new_tokens or made.usual_length,
    )

    own = any(options.given_on_command_line(context, name) for name in ("system", "user", "assistant", "layout"))
    scene = None if own else scene_of(run.model)
    Conversation(
        talk,
        run.model,
        stdin_lines(),
        as_json=json,
        hide_thinking=turns.hide_thinking,
        scene=scene,
        changes=opened.told_changes,
    ).run(save)
