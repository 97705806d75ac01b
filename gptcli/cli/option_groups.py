"""Options that several commands take together, as one parameter: ``run: RunOptions``."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_type_hints

import typer

from gptcli.cli import options
from gptcli.cli.settings import is_setting
from gptcli.sampling.filters import FILTERS, Filter

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.checkpoint.read import Checkpoint
    from gptcli.checkpoint.weights.placement import Placement
    from gptcli.sampling.settings import Sampling
    from gptcli.show.html.page import Page
    from gptcli.show.terminal.tables import Form, TableWriter


@dataclass(frozen=True)
class RunOptions:
    """Options of commands that look inside a model.

    Attributes:
        model, n_head, tokenizer, device, dtype: as ``open_checkpoint`` takes them.
        timeout: how long a hub has to answer; it holds from the moment that it is read.
    """

    _inside: ClassVar[bool] = True

    model: options.ModelOption = options.DEFAULT_MODEL
    n_head: options.NHeadOption = None
    tokenizer: options.TokenizerOption = None
    device: options.DeviceOption = options.Device.auto
    dtype: options.DtypeOption = options.Dtype.auto
    timeout: options.TimeoutOption = None

    def placement(self) -> "Placement":
        """Where and how to run the model."""
        from gptcli.checkpoint.weights.placement import Placement

        return Placement(self.device.value, self.dtype.value)

    def open(self, *, inside: bool | None = None) -> "OpenCheckpoint":
        """Load the model; notes go to stderr.

        Args:
            inside: the PyTorch model, to look inside (see ``open_checkpoint``); None: as commands with
                these options do.

        Raises:
            GptcliError: as ``open_checkpoint``.
        """
        from gptcli.checkpoint.open import open_checkpoint
        from gptcli.system.notices import notices

        inside = self._inside if inside is None else inside
        checkpoint = open_checkpoint(self.model, self.placement(), self.n_head, inside=inside, tokenizer=self.tokenizer)
        notices(checkpoint.notes)
        return checkpoint

    def read(self) -> "Checkpoint":
        """Read what the model is, and load no weights; notes go to stderr.

        Raises:
            GptcliError: as ``read_checkpoint``.
        """
        from gptcli.checkpoint.read import read_checkpoint
        from gptcli.system.notices import notices

        checkpoint = read_checkpoint(self.model, self.n_head, self.tokenizer)
        notices((*checkpoint.blueprint.notes, *checkpoint.tokenizer_notes))
        return checkpoint


@dataclass(frozen=True)
class EngineOptions(RunOptions):
    """Options of commands that need only text or logits, which the fastest engine computes.

    Attributes:
        quantize, cache: see ``Placement``.
    """

    _inside = False

    quantize: options.QuantizeOption = options.Quantize.none
    cache: options.CacheOption = options.Cache.auto

    def placement(self) -> "Placement":
        """Where and how to run the model."""
        return replace(super().placement(), quantize=self.quantize.value, cache=self.cache.value)

    def open_shared(self) -> "OpenCheckpoint":
        """Load the fastest engine; under torchrun, this process's part of the model.

        Raises:
            GptcliError: as ``open_shared``.
        """
        from gptcli.checkpoint.distributed import open_shared
        from gptcli.system.notices import notices

        checkpoint = open_shared(self.model, self.placement(), self.n_head, self.tokenizer)
        notices(checkpoint.notes)
        return checkpoint


@dataclass(frozen=True)
class OutputOptions:
    """Options of commands that show an answer with a table: how it is printed, and a file to save it in.

    Attributes:
        json, csv, md: print data instead of the picture; only one of them.
        save: a file for the picture, the page or the data.

    Raises:
        InputError: two of json, csv and md are given.
    """

    json: options.JsonOption = False
    csv: options.CsvOption = False
    md: options.MdOption = False
    save: options.SaveDataOption = None

    def __post_init__(self) -> None:
        """Refuse two forms at once, before any work is done."""
        options.exclusive(json=self.json, csv=self.csv, md=self.md)

    @property
    def form(self) -> "Form | None":
        """The data to print; None for the picture."""
        forms: list[Form] = ["json", "csv", "md"]
        wanted = [form for form in forms if getattr(self, form)]
        typed = [form for form in wanted if not is_setting(form)]
        return next(iter(typed or wanted), None)

    @property
    def data(self) -> bool:
        """Whether all of the data is needed, to be printed or saved."""
        from gptcli.show.terminal.console import DATA_SUFFIXES

        return self.form is not None or (self.save is not None and self.save.suffix.lower() in DATA_SUFFIXES)

    def table(self) -> "TableWriter | None":
        """What prints the rows of several answers as one table, if that is asked for."""
        from gptcli.show.terminal.console import write_data
        from gptcli.show.terminal.tables import TableWriter

        return TableWriter(self.form, write_data) if self.form in ("csv", "md") else None

    def present(
        self, answer: Any, draw: "Callable[[], RenderableType]", *, page: "Callable[[], Page] | None" = None
    ) -> None:
        """Show an answer; see ``console.present``.

        Raises:
            InputError: there is no table in it, and one is asked for.
            GptcliError: the file cannot be written.
        """
        from gptcli.show.terminal.console import present

        present(answer, draw, form=self.form, save=self.save, page=page)


def _filter_option(each: Filter) -> Any:
    """The option of one filter, for Typer."""
    names = [f"--{each.name}", *([each.short] if each.short else [])]
    told = typer.Option(*names, metavar=each.metavar, help=each.help, rich_help_panel=options.CHOOSING)
    return Annotated[type(each.neutral), told]


# A field for each filter with an option, in the order of the table, with its default.
_Filters: Any = make_dataclass(
    "_Filters",
    [
        (each.field, _filter_option(each), field(default=each.neutral if each.default is None else each.default))
        for each in FILTERS
        if each.help
    ],
    frozen=True,
)


@dataclass(frozen=True)
class _Bias:
    logit_bias: options.LogitBiasOption = None


@dataclass(frozen=True)
class SamplingOptions(_Filters, _Bias):  # type: ignore[misc]  # its fields are those of the table
    """Options of sampling, in order: the bias, each filter of the table, and the seed.

    Attributes:
        logit_bias, seed: as on the command line.
    """

    seed: options.SeedOption = None

    def sampling(self) -> "Sampling":
        """The filters, without the bias, which needs a tokenizer.

        Raises:
            InputError: one is out of range, or there are too many biases.
        """
        from gptcli.sampling.settings import Sampling

        options.at_most("--logit-bias", self.logit_bias, options.MOST_TEXTS)
        return Sampling(**{each.field: getattr(self, each.field) for each in FILTERS if each.help})


def filter_option(name: str) -> Any:
    """The option of one filter, for a command that takes some of them."""
    return _filter_option(next(each for each in FILTERS if each.name == name))


# The order of the panels in every help; those of one command stand between the input and the model.
_PANELS = {"Input": 0, "Model": 2, "Changing the model": 3, "Output": 4}


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command for Typer: each parameter that is a group is replaced by the group's options."""
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        group = parameter.annotation
        if not (isinstance(group, type) and is_dataclass(group)):
            parameters.append(parameter)
            continue
        groups[parameter.name] = group
        hints = get_type_hints(group, include_extras=True)
        own = inspect.signature(group).parameters.values()
        parameters += [each.replace(annotation=hints[each.name], kind=parameter.kind) for each in own]

    @functools.wraps(command)
    def flat(**given: Any) -> None:
        parts = {
            name: group(**{each.name: given.pop(each.name) for each in fields(group)}) for name, group in groups.items()
        }
        command(**given, **parts)

    del flat.__wrapped__  # it has other parameters
    parameters = sorted((each.replace(kind=each.KEYWORD_ONLY) for each in parameters), key=_panel_rank)
    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat


def _panel_rank(parameter: inspect.Parameter) -> int:
    """Where an option stands in the help: the input first, then the command's own, the model, and the output last."""
    for told in getattr(parameter.annotation, "__metadata__", ()):
        return _PANELS.get(str(getattr(told, "rich_help_panel", "")), 1)
    return 1


def with_epilog(text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Set the end of a command's help, which Typer wants apart from the docstring."""

    def added(command: Callable[..., None]) -> Callable[..., None]:
        command.epilog = text  # type: ignore[attr-defined]
        return command

    return added
