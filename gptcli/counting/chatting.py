"""What a checkpoint's files say about conversations: what ends a text, the sampling, the chat templates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptcli.checkpoint.chat_templates import read_chat_templates
from gptcli.checkpoint.generation_config import FILE, read_generation_config
from gptcli.errors import CheckpointError


@dataclass
class ChatFacts:
    """What is known for conversations.

    Attributes:
        eos_ids: ids that end a text, of generation_config.json.
        sampling: the sampling that ``chat`` starts with, of the same file.
        chat_templates: names of the templates.
        sources: for each of these that is there, the file that it was read in.
        notes: what cannot be used, one sentence each.
    """

    eos_ids: tuple[int, ...] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict)
    chat_templates: tuple[str, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def chat_facts(folder: Path) -> ChatFacts:
    """What a checkpoint's folder says; a file that cannot be used becomes a note."""
    found = ChatFacts()
    try:
        generation = read_generation_config(folder)
        if generation.eos_ids:
            found.eos_ids, found.sources["eos_ids"] = generation.eos_ids, FILE
        if sampling := generation.sampling():
            found.sampling, found.sources["sampling"] = sampling, FILE
    except CheckpointError as error:
        found.notes.append(str(error))
    try:
        templates = read_chat_templates(folder).by_name
        if templates:
            found.chat_templates = tuple(templates)
            found.sources["chat_templates"] = Path(next(iter(templates.values())).place).name
    except CheckpointError as error:
        found.notes.append(str(error))
    return found
