"""The option types that commands share, so that one option means one thing everywhere."""

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from gptcli.errors import InputError


class Device(str, Enum):
    """Where the model runs; ``auto`` takes what is there."""

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


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|FOLDER|FILE",
        envvar="GPTCLI_MODEL",
        help="The checkpoint: a bundled name, a folder, or a .safetensors file.",
        rich_help_panel="Model",
    ),
]
NHeadOption = Annotated[
    int | None,
    typer.Option(min=1, help="Attention heads, for a lone .safetensors file.", rich_help_panel="Model"),
]
DeviceOption = Annotated[Device, typer.Option(help="Where to run the model.", rich_help_panel="Model")]
DtypeOption = Annotated[
    Dtype,
    typer.Option(help="Precision; auto: float32, or bfloat16 on a GPU that has it.", rich_help_panel="Model"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel="Output")]
SaveOption = Annotated[
    Path | None,
    typer.Option("--save", metavar="FILE", help="Also save as .svg, .html or .txt.", rich_help_panel="Output"),
]
TopOption = Annotated[int, typer.Option("--top", min=1, help="How many to list.", rich_help_panel="Output")]

DEFAULT_MODEL = "tales"


def text_argument(text: str | None, what: str, *, strip_newline: bool = True) -> str:
    """The text that a command works on: its argument, or stdin when that is ``-`` or missing and stdin is piped.

    Args:
        text: the argument as given, or None.
        what: the name of the argument, for the error message.
        strip_newline: drop one newline at the end of piped text, which ``echo`` put there.

    Raises:
        InputError: there is neither an argument nor a pipe, or the pipe does not hold UTF-8.
    """
    if text is not None and text != "-":
        return text
    if text is None and (sys.stdin is None or sys.stdin.isatty()):
        raise InputError(f"{what} is missing: give it as an argument, or pipe it in")
    piped = read_stdin()
    return piped.removesuffix("\n") if strip_newline else piped


def read_stdin() -> str:
    """All of stdin as text.

    Raises:
        InputError: stdin is closed, or is not UTF-8.
    """
    if sys.stdin is None:
        raise InputError("there is nothing to read: stdin is closed")
    data = sys.stdin.buffer.read()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"stdin is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}") from error
