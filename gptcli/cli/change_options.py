"""Options that change a model while it runs: parts taken out, directions added."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gptcli.cli.inputs import plain_text
from gptcli.cli.option_groups import RunOptions
from gptcli.errors import InputError

if TYPE_CHECKING:
    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.inspection.request import Request

PANEL = "Changing the model"


class By(str, Enum):
    """What replaces a part that is taken out."""

    zero = "zero"
    mean = "mean"
    resample = "resample"


def _is_direction_file(path: Path | None) -> Path | None:
    if path is not None and path.suffix != ".safetensors":
        raise typer.BadParameter(f"{path.name}: a direction is saved as .safetensors")
    return path


@dataclass(frozen=True)
class ChangeOptions:
    """Interventions.

    Attributes:
        without, by, over, from_text, steer, freeze_attention: as ``inspection.request.requested`` takes them.
        save_direction: where to write the direction of the only ``steer``.
    """

    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE",
            help="Take a part out: 4.1 (a head), attention:4, mlp:2-5, neuron:3.117, 4.*@Tom, layer:5@-1. Repeatable.",
            rich_help_panel=PANEL,
        ),
    ] = None
    by: Annotated[By, typer.Option(help="What stands in its place.", rich_help_panel=PANEL)] = By.zero
    over: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default="the text itself",
            help="The text that --by mean averages over.",
            rich_help_panel=PANEL,
        ),
    ] = None
    from_text: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The text that --by resample takes from.", rich_help_panel=PANEL),
    ] = None
    steer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'PLACE: DIRECTION * N'",
            help="Add a direction: 'layer:7: happy - sad * 12', 'layer:3: \"I love you\" - \"I hate you\"'. "
            "Repeatable.",
            rich_help_panel=PANEL,
        ),
    ] = None
    freeze_attention: Annotated[
        bool,
        typer.Option("--freeze-attention", help="Look where it would without the change.", rich_help_panel=PANEL),
    ] = False
    save_direction: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=_is_direction_file,
            help="Keep the direction of --steer, for --steer 'layer:7: FILE.safetensors'.",
            rich_help_panel=PANEL,
        ),
    ] = None

    @property
    def given(self) -> bool:
        """Whether anything is to be changed."""
        return bool(self.without or self.steer)

    def request(self) -> "Request":
        """What is asked for, without a model.

        Raises:
            InputError: a place or a direction does not parse, or options contradict each other.
        """
        from gptcli.inspection.request import requested
        from gptcli.system.text_file import read_text_file

        if self.save_direction is not None and len(self.steer or []) != 1:
            raise InputError(
                f"--save-direction keeps the direction of one --steer, and there are {len(self.steer or [])}"
            )
        return requested(
            self.without or [],
            by=self.by.value,
            over=None if self.over is None else plain_text(read_text_file(self.over)),
            from_text=self.from_text,
            steer=self.steer or [],
            freeze_attention=self.freeze_attention,
        )

    def open(self, run: RunOptions, *, inside: bool | None = None) -> "OpenCheckpoint":
        """Load the model and change it; notes go to stderr.

        Args:
            run: which model, and how.
            inside: see ``RunOptions.open``; with frozen attention, a model is always opened so.

        Raises:
            GptcliError: as ``RunOptions.open``; or the model has no such place, word or text.
        """
        request = self.request()
        if not self.given:
            return run.open(inside=inside)
        from gptcli.inspection.request import made, notes, save_steered
        from gptcli.model.ranks import world_size
        from gptcli.system.notices import notices

        if world_size() > 1:
            raise InputError("--without and --steer work in one process only: leave torchrun out")
        opened = run.open(inside=True if request.frozen else inside)
        changes = made(opened, request)
        notices(notes(opened, request))
        if self.save_direction is not None:
            save_steered(opened, request.steer[0], self.save_direction)
        return opened.changed(changes)
