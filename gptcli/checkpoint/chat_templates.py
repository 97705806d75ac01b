"""The chat templates of a checkpoint: Jinja2 texts that format a conversation as in the model's training data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptcli.errors import CheckpointError, InputError
from gptcli.system.json_text import read_bytes, read_json_object
from gptcli.system.regular_file import readable
from gptcli.text import clipped, listed

OWN_FILE, MORE, CONFIG = "chat_template.jinja", "additional_chat_templates", "tokenizer_config.json"
DEFAULT = "default"
# The longest templates of real models have 20,000 characters.
_MOST_BYTES, _MOST_TEMPLATES = 1_000_000, 100


@dataclass(frozen=True)
class ChatTemplate:
    """One template.

    Attributes:
        name: its name among the model's templates.
        text: the template.
        place: the file that contains it.
    """

    name: str
    text: str
    place: str


@dataclass(frozen=True)
class ChatTemplates:
    """The templates of a checkpoint.

    Attributes:
        by_name: the templates by name.
    """

    by_name: Mapping[str, ChatTemplate]

    def choose(self, name: str | None = None) -> ChatTemplate | None:
        """The template with a name; without a name, the default or the only one. None if there are no templates.

        Raises:
            InputError: there is no template with that name, or there are several and none is the default.
        """
        if name is None and not self.by_name:
            return None
        if name is None and len(self.by_name) == 1:
            return next(iter(self.by_name.values()))
        if (wanted := DEFAULT if name is None else name) in self.by_name:
            return self.by_name[wanted]
        if not self.by_name:
            raise InputError(f"--template {clipped(wanted)}: the model has no chat template")
        if name is None:
            raise InputError(f"the model has several chat templates: choose one with --template ({self._names()})")
        raise InputError(f"--template {clipped(name)}: the model's chat templates are {self._names()}")

    def _names(self) -> str:
        return listed(self.by_name)


def read_chat_templates(folder: Path) -> ChatTemplates:
    """The chat templates in a folder.

    tokenizer_config.json has one template or a list of named ones. ``chat_template.jinja``, the default, and the files
    in ``additional_chat_templates`` take precedence over it.

    Raises:
        CheckpointError: a file cannot be read, is too large, or is not a template.
    """
    with readable(folder):
        config = read_json_object(folder / CONFIG) if (folder / CONFIG).is_file() else {}
        found = {each.name: each for each in (*_in_config(config, str(folder / CONFIG)), *_in_files(folder))}
    return ChatTemplates(found)


def _in_files(folder: Path) -> Iterator[ChatTemplate]:
    if (folder / OWN_FILE).is_file():
        yield _from_file(DEFAULT, folder / OWN_FILE)
    more = sorted((folder / MORE).glob("*.jinja"))
    if len(more) > _MOST_TEMPLATES:
        raise CheckpointError(f"{folder / MORE} holds {len(more):,} templates: no model has so many")
    for path in more:
        yield _from_file(path.stem, path)


def _from_file(name: str, path: Path) -> ChatTemplate:
    try:
        return _template(name, read_bytes(path).decode(), str(path))
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not UTF-8: byte 0x{error.object[error.start]:02x}") from error


def _in_config(config: dict[str, Any], place: str) -> Iterator[ChatTemplate]:
    given = config.get("chat_template")
    if given is None:
        return
    if isinstance(given, str):
        yield _template(DEFAULT, given, place)
        return
    entries = given if isinstance(given, list) and len(given) <= _MOST_TEMPLATES else [None]
    for entry in entries:
        name, text = (entry.get("name"), entry.get("template")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(text, str):
            raise CheckpointError(
                f"{place}: chat_template should be a text, or a list of objects with name and template"
            )
        yield _template(name, text, place)


def _template(name: str, text: str, place: str) -> ChatTemplate:
    if len(text.encode("utf-8", "surrogatepass")) > _MOST_BYTES:
        raise CheckpointError(f"{place}: the chat template has {len(text):,} characters: no model needs so many")
    return ChatTemplate(name, text, place)
