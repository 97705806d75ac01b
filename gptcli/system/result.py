"""What every result can do in Python and in a notebook: print, draw itself, become a dict, JSON or a table.

A result is a frozen dataclass that derives from ``Result``. How it is shown is known further up, where this package may
not look: ``gptcli.api`` says it with ``show_with``.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from gptcli.errors import GptcliError

if TYPE_CHECKING:
    import pandas as pd


class Viewer(Protocol):
    """How results are shown."""

    def json(self, result: Any, indent: int | None) -> str:
        """What ``--json`` prints, without the newline at its end."""

    def html(self, result: Any) -> str | None:
        """Markup for a notebook; None where there is no picture."""

    def text(self, result: Any) -> str | None:
        """What the terminal shows, without colours; None where there is no picture."""

    def rows(self, result: Any) -> "list[dict[str, Any]]":
        """The table: a dict for each row."""


class Result:
    """What a command answers. ``print`` shows it as the terminal does, and a notebook as a page."""

    _viewer: ClassVar[Viewer | None] = None

    def to_json(self, *, indent: int | None = 2) -> str:
        """The JSON that the command prints with ``--json``; ``indent=None`` puts it on one line."""
        return _viewer().json(self, indent)

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict."""
        import json

        made: dict[str, Any] = json.loads(self.to_json(indent=None))
        return made

    def to_pandas(self) -> "pd.DataFrame":
        """The table of the result as a DataFrame of pandas, which has to be installed.

        Raises:
            GptcliError: it is not.
        """
        try:
            import pandas as pd
        except ImportError:
            raise GptcliError("to_pandas needs pandas: pip install pandas (to_dict needs nothing)") from None
        return pd.DataFrame(_viewer().rows(self))

    def _repr_html_(self) -> str | None:
        return None if Result._viewer is None else Result._viewer.html(self)

    def __str__(self) -> str:
        shown = None if Result._viewer is None else Result._viewer.text(self)
        return repr(self) if shown is None else shown


def show_with(viewer: Viewer) -> None:
    """Have all results shown in this way."""
    Result._viewer = viewer


def _viewer() -> Viewer:
    if Result._viewer is None:
        raise GptcliError("results are shown by gptcli.api: import it first")
    return Result._viewer
