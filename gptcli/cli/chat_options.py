"""Options of commands that lay out turns: how the model's chat template is used."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from gptcli.cli import options

if TYPE_CHECKING:
    from gptcli.generation.chat.script import Format
    from gptcli.generation.chat.template import TemplateLayout

PANEL = "Chat"


@dataclass(frozen=True)
class ChatOptions:
    """What stands before the first turn, and how turns become a prompt.

    Attributes:
        system, template, no_template, thinking, hide_thinking: as the command line has them.
    """

    system: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            show_default="the template's own, or a helpful assistant",
            help="What stands before the first turn.",
            rich_help_panel=PANEL,
        ),
    ] = None
    template: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default="default", help="Which of the model's chat templates.", rich_help_panel=PANEL
        ),
    ] = None
    no_template: Annotated[
        bool,
        typer.Option("--no-template", help="A script, though the model has a template.", rich_help_panel=PANEL),
    ] = False
    thinking: Annotated[
        bool | None,
        typer.Option(
            "--thinking/--no-thinking",
            show_default="as the template has it",
            help="Have the model think before it answers.",
            rich_help_panel=PANEL,
        ),
    ] = None
    hide_thinking: Annotated[
        bool,
        typer.Option("--hide-thinking", help="Leave out what it thinks first.", rich_help_panel=PANEL),
    ] = False

    def check(self, kind: str = "auto") -> None:
        """Refuse options that contradict each other.

        Args:
            kind: what ``--format`` asks for.

        Raises:
            InputError: says which.
        """
        asked = {"template": self.template, "thinking": self.thinking is not None}
        options.forbid_together("--no-template", given=self.no_template, **asked)
        options.forbid_together(f"--format {kind}", given=kind != "auto", **asked)

    def layout(
        self, model: str, kind: str = "auto", *, user: str = "User", assistant: str = "Assistant"
    ) -> "Format | TemplateLayout":
        """The layout for a model (see ``layout_for``).

        Raises:
            GptcliError: there is no such model or template, or it cannot be read.
        """
        from gptcli.checkpoint.source import find
        from gptcli.generation.chat.layout import layout_for

        self.check(kind)
        source = find(model)
        return layout_for(
            kind,
            source,
            self.template,
            use_template=kind == "auto" and not self.no_template,
            user=user,
            assistant=assistant,
            thinking=self.thinking,
        )
