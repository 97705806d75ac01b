"""Scenes: for a model that tells stories and answers no questions, a story in which it has a part."""

from dataclasses import dataclass

from gptcli.generation.chat.script import Format
from gptcli.generation.chat.turns import Role


@dataclass(frozen=True)
class SceneFormat(Format):
    """Turns as a story tells them, ``The girl said, "Hello."``: an answer is what stands between its quotes.

    Children's stories hold many more lines of this kind than scripts, so such a model knows how they go on.
    """

    @property
    def cue(self) -> str:
        """Who speaks, up to the quote that opens."""
        return _opened(self.assistant)

    @property
    def stops(self) -> tuple[str, ...]:
        """The quote that closes, or the end of the line."""
        return ('"', "\n")

    def lay_out(self, role: Role, text: str) -> str:
        """A turn as the story has it; quotes in what was typed become single ones, so that they do not close it."""
        if role == "system":
            return text
        said = text.replace('"', "'")
        return f'{_opened(getattr(self, role))}{said}"'


def _opened(name: str) -> str:
    return f'The {name.lower()} said, "'


@dataclass(frozen=True)
class Scene:
    """A scene.

    Attributes:
        system: what stands before the first turn.
        layout: how it is told, with the names of both parts.
        about: what it is, for the one who is to play.
    """

    system: str
    layout: Format
    about: str


_SCENES = {
    "tales": Scene(
        "Once upon a time, a little girl met a wolf in the forest. They talked.",
        SceneFormat("story", user="Girl", assistant="Wolf"),
        "you are a girl, and meet a wolf in the forest",
    )
}


def scene_of(model: str) -> Scene | None:
    """The scene that a bundled model has; None for others."""
    return _SCENES.get(model)
