"""Scenes: for a model that tells stories and answers no questions, a story in which it has a part."""

from dataclasses import dataclass

from gptcli.generation.chat.script import Format


@dataclass(frozen=True)
class SceneFormat(Format):
    """A script whose answers are one paragraph: what comes after it is the story's, not the speaker's."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The next turn, or the end of the paragraph."""
        return (*super().stops, "\n\n")


@dataclass(frozen=True)
class Scene:
    """A scene.

    Attributes:
        system: what stands before the first turn.
        layout: the script, with the names of both parts.
        about: what it is, for the one who is to play.
    """

    system: str
    layout: Format
    about: str


_SCENES = {
    "tales": Scene(
        "Once upon a time, a little girl met a wolf in the forest. They talked.",
        SceneFormat("script", user="Girl", assistant="Wolf"),
        "you are a girl, and meet a wolf in the forest",
    )
}


def scene_of(model: str) -> Scene | None:
    """The scene that a bundled model has; None for others."""
    return _SCENES.get(model)
