"""Chooses the layout of a chat: the model's own template, or a script."""

from collections.abc import Mapping
from typing import Any

from gptcli.checkpoint.chat_templates import read_chat_templates
from gptcli.checkpoint.generation_config import GenerationConfig
from gptcli.checkpoint.source import Source
from gptcli.errors import CheckpointError, InputError
from gptcli.generation.chat.renderer import Renderer
from gptcli.generation.chat.script import Format
from gptcli.generation.chat.template import TemplateLayout
from gptcli.sampling.settings import Sampling


def layout_for(
    kind: str,
    source: Source,
    template: str | None = None,
    *,
    use_template: bool = True,
    user: str = "User",
    assistant: str = "Assistant",
    thinking: bool | None = None,
) -> Format | TemplateLayout:
    """The requested layout; ``auto`` is the model's own template if it has one.

    Args:
        kind: the requested layout: ``auto``, ``script`` or ``eos``.
        source: the model's checkpoint.
        template: the name of one of its templates; None: the default.
        use_template: False ignores templates.
        user, assistant: the speakers' names.
        thinking: whether the model thinks before it answers; None leaves it to the template.

    Raises:
        InputError: there is no such template, or it has no switch for thinking; or a speaker's name could not be told
            apart from the rest of a script.
        CheckpointError: a file with templates is broken.
    """
    script = format_for(kind, source.name, source.config, user=user, assistant=assistant)
    templates = read_chat_templates(source.folder) if use_template else None
    chosen = templates.choose(template) if templates is not None else None
    if templates is None or chosen is None:
        if thinking is not None:
            raise InputError("--thinking: the model has no chat template that could ask for it")
        return script
    layout = TemplateLayout(chosen, Renderer(), user, assistant, thinking)
    if thinking is not None and not layout.can_switch_thinking:
        raise InputError("--thinking: the model's chat template does not ask whether to think first")
    return layout


def format_for(kind: str, name: str, config: Mapping[str, Any] | None, *, user: str, assistant: str) -> Format:
    """The layout without a template; ``auto`` is the one that the model was trained with if it is known, else a script.

    Args:
        kind: the requested layout: ``auto``, ``script`` or ``eos``.
        name: the model's name, by which DialoGPT is recognised.
        config: its config.json, by which DialoGPT is also recognised.
        user, assistant: the speakers' names.

    Raises:
        InputError: a speaker's name could not be told apart from the rest of the script.
    """
    if kind == "auto":
        tasks = (config or {}).get("task_specific_params")
        conversational = isinstance(tasks, Mapping) and "conversational" in tasks
        kind = "eos" if conversational or "dialogpt" in name.lower() else "script"
    return Format("eos" if kind == "eos" else "script", user, assistant)


def starting_sampling(chosen: Sampling, given: set[str], generation: GenerationConfig) -> Sampling:
    """The sampling that a chat starts with: the command line's options, then the model's generation_config.json.

    Args:
        chosen: the command's settings, explicit or default.
        given: the names of the explicit ones.
        generation: the model's generation_config.json.

    Raises:
        CheckpointError: generation_config.json has an invalid value.
    """
    makers = generation.sampling()
    try:
        Sampling(**makers)
    except InputError as error:
        raise CheckpointError(f"{generation.fields.place}: {error}") from error
    return chosen.changed(**{name: value for name, value in makers.items() if name not in given})
