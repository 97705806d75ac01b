"""The picture of ``gptcli config``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gptcli.show.blocks.pictures import table
from gptcli.text import clipped, visible

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Value:
    """The value of an option.

    Attributes:
        command: whose option it is.
        option: its long name.
        value: as text; None: it has none.
        origin: where it comes from: the file, a variable, or the option's own default.
    """

    command: str
    option: str
    value: str | None
    origin: str


@dataclass(frozen=True)
class Configuration:
    """What the user set.

    Attributes:
        file: the configuration file; None: there is no home folder.
        exists: whether it is there.
        settings: the values.
    """

    schema: ClassVar[str] = "gptcli.config/1"
    table: ClassVar[str] = "settings"

    file: str | None
    exists: bool
    settings: list[Value]


def draw(configuration: Configuration) -> "RenderableType":
    """A row for each value, and where the file is."""
    from rich.console import Group
    from rich.text import Text

    there = "" if configuration.exists else " (not there)"
    file = Text(f"{clipped(configuration.file or 'no home folder')}{there}", style="dim")
    if not configuration.settings:
        return Group(Text("Nothing is set: every option has its own default."), file)
    made = table("command", "option", "value", "from")
    for each in configuration.settings:
        value = "" if each.value is None else visible(each.value, keep="")
        origin = each.origin
        if configuration.file is not None and origin.startswith(file_name := clipped(configuration.file)):
            origin = f"the file{origin.removeprefix(file_name)}"
        made.add_row(each.command or "all", f"--{each.option}", value, origin)
    return Group(made, file)
