"""The options that commands share."""

import math
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from gptcli.cli.settings import is_setting
from gptcli.errors import InputError
from gptcli.text import clipped, quoted


class Device(str, Enum):
    """The device; ``auto`` takes the best available."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Dtype(str, Enum):
    """The precision the model runs in."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Quantize(str, Enum):
    """The format of the model's matrices."""

    none = "none"
    int8 = "int8"
    int4 = "int4"


class Cache(str, Enum):
    """The precision of the cached keys and values."""

    auto = "auto"
    float32 = "float32"
    float16 = "float16"


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        envvar="GPTCLI_MODEL",
        help="A folder, a .safetensors file, or a name (gptcli models list).",
        rich_help_panel="Model",
    ),
]
NHeadOption = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Attention heads, for a lone .safetensors file.", rich_help_panel="Model"),
]
TokenizerOption = Annotated[
    str | None,
    typer.Option(
        "--tokenizer",
        metavar="NAME|FOLDER",
        help="Read texts with another model's tokenizer, or with one of tiktoken's.",
        rich_help_panel="Model",
    ),
]
DeviceOption = Annotated[Device, typer.Option(help="Where to run the model.", rich_help_panel="Model")]
DtypeOption = Annotated[
    Dtype,
    typer.Option(
        metavar="TYPE",
        help="float32, bfloat16 or float16; auto: float32, or bfloat16 where a GPU has it.",
        rich_help_panel="Model",
    ),
]
QuantizeOption = Annotated[
    Quantize,
    typer.Option(help="Matrices in 8 bits, or the MLPs' in 4: smaller, faster, less exact.", rich_help_panel="Model"),
]
CacheOption = Annotated[
    Cache,
    typer.Option(
        help="Cached keys and values, in C on the CPU; auto: float32, or float16 with --quantize.",
        rich_help_panel="Model",
    ),
]


def no_nan(number: float | None) -> float | None:
    """A callback for numbers with a range: NaN passes click's ranges, because no comparison with it is true."""
    if number is not None and math.isnan(number):
        raise typer.BadParameter("nan is not a number")
    return number


def _patience(seconds: float | None) -> float | None:
    """Set how long hubs may take to answer."""
    from gptcli.checkpoint.hub.watch import LONGEST_SECONDS, set_patience

    if seconds is not None and not 0 < seconds <= LONGEST_SECONDS:
        raise typer.BadParameter(f"{seconds} is not between 0 and {LONGEST_SECONDS:,.0f} seconds")
    set_patience(seconds)
    return seconds


TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        envvar="GPTCLI_TIMEOUT",
        show_default="15",
        callback=_patience,
        help="How long the hub may take to answer, or to make progress.",
    ),
]
LookupOption = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        max=64,
        help="Guess up to N tokens (7 at once) from what was said before; the text stays the same.",
        rich_help_panel="Model",
    ),
]
RawOption = Annotated[
    bool,
    typer.Option("--raw", help=r"Take \n, \t and \\ in arguments as they stand.", rich_help_panel="Input"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel="Output")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print the table as CSV.", rich_help_panel="Output")]
MdOption = Annotated[bool, typer.Option("--md", help="Print the table as Markdown.", rich_help_panel="Output")]


def _can_be_saved(path: Path | None) -> Path | None:
    """Check the file name before any work is done."""
    from gptcli.show.terminal.console import check_save

    if path is not None:
        check_save(path)
    return path


def _picture_or_data(path: Path | None) -> Path | None:
    """The same, for an answer with a table."""
    from gptcli.show.terminal.console import DATA_SUFFIXES, SAVE_SUFFIXES, check_save

    if path is not None:
        check_save(path, suffixes=(*SAVE_SUFFIXES, *DATA_SUFFIXES))
    return path


SaveOption = Annotated[
    Path | None,
    typer.Option(
        "--save",
        metavar="FILE",
        callback=_can_be_saved,
        help="Also save as .svg, .png, .html or .txt.",
        rich_help_panel="Output",
    ),
]
SaveDataOption = Annotated[
    Path | None,
    typer.Option(
        "--save",
        metavar="FILE",
        callback=_picture_or_data,
        help="Also save as .svg, .png, .html, .txt, .csv, .md or .json.",
        rich_help_panel="Output",
    ),
]
TopOption = Annotated[
    int, typer.Option("--top", metavar="N", min=1, help="How many to list.", rich_help_panel="Output")
]

CHOOSING = "Choosing tokens (in this order)"
LogitBiasOption = Annotated[
    list[str] | None,
    typer.Option("--logit-bias", metavar="TEXT=NUMBER", help="Add to one token's logit.", rich_help_panel=CHOOSING),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="Repeat a result.",
        show_default="drawn",
        rich_help_panel=CHOOSING,
    ),
]

DEFAULT_MODEL = "tales"
# The most repetitions of an option, and the most numbers in one.
MOST_TEXTS, MOST_TRACKS, MOST_NUMBERS = 1000, 50, 20
# Candidates listed for each token of a text.
MOST_CANDIDATES = 1000


def exclusive(**flags: bool) -> str | None:
    """The name of the one flag that is set, or None.

    Raises:
        InputError: more than one is set.
    """
    chosen = [name for name, on in flags.items() if on]
    if len(chosen) > 1:  # what is typed goes before what is set
        chosen = [name for name in chosen if not is_setting(name)]
    if len(chosen) > 1:
        raise InputError(f"--{chosen[0]} and --{chosen[1]} contradict each other: use one of them")
    return chosen[0] if chosen else None


def require_owner(owner: str, *, given: bool, **parts: object) -> None:
    """Refuse options without the one that they belong to.

    Args:
        owner: that one (or several), as typed.
        given: whether it is given.
        parts: the options; None if not given.

    Raises:
        InputError: one is given without its owner.
    """
    lost = next((name for name, value in parts.items() if value is not None and not is_setting(name)), None)
    if lost is not None and not given:
        raise InputError(f"--{lost.replace('_', '-')} goes with {owner}, which is not there")


def forbid_together(owner: str, *, given: bool, **others: object) -> None:
    """Refuse options that contradict another one.

    Args:
        owner: that one, as typed.
        given: whether it is given.
        others: the options; false if not given.

    Raises:
        InputError: one of them is given too.
    """
    clashing = next((name for name, value in others.items() if value and not is_setting(name)), None)
    if given and clashing is not None:
        raise InputError(f"{owner} and --{clashing.replace('_', '-')} contradict each other: use one of them")


def at_most(option: str, given: Sequence[object] | None, most: int) -> None:
    """Refuse an option that is repeated too often.

    Raises:
        InputError: says how often it may be given.
    """
    if given is not None and len(given) > most:
        raise InputError(f"{option} is given {len(given):,} times: {most:,} are the most")


def chosen_by_user(context: typer.Context, name: str) -> bool:
    """Whether an option has a value of the user's, on the command line or as a setting."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def given_on_command_line(context: typer.Context, name: str) -> bool:
    """Whether an option was given on the command line, not by the environment or by default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def number_list(text: str, option: str, example: str = "0.5,1,2") -> list[float]:
    """Parse ``0.5,1,2``.

    Raises:
        InputError: it is not a list of numbers, or of more than twenty.
    """
    parts = text.split(",", MOST_NUMBERS)
    if len(parts) > MOST_NUMBERS:
        raise InputError(f"{option} {clipped(text, 60)}: {MOST_NUMBERS} numbers are the most")
    try:
        return [float(part) for part in parts]
    except ValueError:
        raise InputError(f"{option} {quoted(text)}: write a number, or several with commas such as {example}") from None


def versus_option(panel: str) -> Any:
    """``--versus``, in a panel of the help: the token that another one is compared with."""
    return typer.Option(metavar="WORD", help="Measure how far it is above this token.", rich_help_panel=panel)
