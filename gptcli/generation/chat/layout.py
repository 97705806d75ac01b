"""Which layout a chat has: the model's own template, or a script."""

from collections.abc import Mapping
from typing import Any

from gptcli.checkpoint.chat_templates import read_chat_templates
from gptcli.checkpoint.generation_config import GenerationConfig
from gptcli.checkpoint.source import Source
from gptcli.errors import CheckpointError, InputError
from gptcli.generation.chat.renderer import Renderer
from gptcli.generation.chat.template import TemplateLayout
from gptcli.generation.chat.turns import Format
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
    """The layout that was asked for; ``auto`` is the model's own template, where it has one.

    Args:
        kind: what was asked for: ``auto``, ``script`` or ``eos``.
        source: where the model lies.
        template: which of its templates; None: the default.
        use_template: whether templates count.
        user, assistant: who speaks.
        thinking: whether the model is to think before it answers; None leaves it to the template.

    Raises:
        InputError: there is no such template, or it does not ask about thinking; or a name could not be told from the
            rest of a script.
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
    """The layout without a template; ``auto`` is the one that the model was trained on, else a script.

    Args:
        kind: what was asked for: ``auto``, ``script`` or ``eos``.
        name: what the model is called; DialoGPT is known by it,
        config: or by its config.json.
        user, assistant: who speaks.

    Raises:
        InputError: a name could not be told from the rest of the script.
    """
    if kind == "auto":
        tasks = (config or {}).get("task_specific_params")
        conversational = isinstance(tasks, Mapping) and "conversational" in tasks
        kind = "eos" if conversational or "dialogpt" in name.lower() else "script"
    return Format("eos" if kind == "eos" else "script", user, assistant)


def starting_sampling(chosen: Sampling, given: set[str], generation: GenerationConfig) -> Sampling:
    """The sampling that a chat starts with: what was given on the command line, then what the model's makers say.

    Args:
        chosen: the command's settings, given or by default.
        given: the names of those that were given.
        generation: the model's generation_config.json.

    Raises:
        CheckpointError: generation_config.json has a value that is no setting.
    """
    makers = generation.sampling()
    try:
        Sampling(**makers)
    except InputError as error:
        raise CheckpointError(f"{generation.fields.place}: {error}") from error
    return chosen.changed(**{name: value for name, value in makers.items() if name not in given})
