"""``gptcli chat``: a conversation with a model that only continues texts."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from gptcli import options
from gptcli.show.console import notices

_SCENE = "The scene"


class Layout(str, Enum):
    """How turns become a prompt; ``auto`` goes by the model."""

    auto = "auto"
    script = "script"
    eos = "eos"


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
    logit_bias: options.LogitBiasOption = None,
    repetition_penalty: options.RepetitionPenaltyOption = 1.0,
    no_repeat_ngram: options.NoRepeatNgramOption = 0,
    temperature: options.TemperatureOption = 0.8,
    top_k: options.TopKOption = 40,
    top_p: options.TopPOption = 1.0,
    min_p: options.MinPOption = 0.0,
    typical_p: options.TypicalPOption = 1.0,
    seed: options.SeedOption = None,
    model: options.ModelOption = options.DEFAULT_MODEL,
    n_head: options.NHeadOption = None,
    device: options.DeviceOption = options.Device.auto,
    dtype: options.DtypeOption = options.Dtype.auto,
    quantize: options.QuantizeOption = options.Quantize.none,
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
    from gptcli.sampling import Sampling
    from gptcli.show.chat import Conversation, check_file

    sampling = Sampling(temperature, top_k, top_p, min_p, typical_p, repetition_penalty, no_repeat_ngram)
    seed = options.seed_or_drawn(seed)
    if save is not None:
        check_file("--save", save)

    from gptcli.chatting import Chat
    from gptcli.checkpoint.open import open_checkpoint
    from gptcli.checkpoint.source import find
    from gptcli.turns import format_for
    from gptcli.writing import with_logit_bias

    opened = open_checkpoint(
        model, device=device.value, dtype=dtype.value, n_head=n_head, quantize=quantize.value, to="run"
    )
    notices(opened.blueprint.notes)
    talk = Chat(
        opened.engine,
        opened.tokenizer,
        format_for(layout.value, model, find(model, download=False).config, user=user, assistant=assistant),
        with_logit_bias(sampling, opened.tokenizer, logit_bias or []),
        seed=seed,
        n_vocab=opened.n_vocab,
        eos_ids=opened.eos_ids,
        system=system,
        max_new_tokens=max_new_tokens,
    )

    Conversation(talk, model, as_json=json).run(save)
