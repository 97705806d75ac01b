"""The files of quantized matrices in the user's cache: their paths, a list of them, and their removal.

A file is ``quantized/FINGERPRINT/CONTENT-int8.safetensors``, named after the weights' content (see ``content``), so no
name, path or date of a model can lead to another model's matrices. Files in a model's own folder are never read as
ours. ``quantized_file`` reads and writes them.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gptcli.checkpoint.families import Blueprint
from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.weights.content import Fingerprint, content_of, fingerprint_of
from gptcli.errors import CheckpointError, GptcliError
from gptcli.system.cache_folder import cache_folder
from gptcli.system.regular_file import Version, version_of
from gptcli.text import visible

if TYPE_CHECKING:  # numpy, which a list of files does not need
    from gptcli.model.engine import Quantize

# The version of the files: raised when the layout of the matrices or of the file changes.
FORMAT = "3"
KINDS: "tuple[Quantize, ...]" = ("int8", "int4")


class BrokenKeptError(CheckpointError):
    """A file of quantized matrices cannot be used: the caller quantizes again, with a notice."""


@dataclass(frozen=True)
class OpenKeptFile:
    """A file of quantized matrices that belongs to a checkpoint.

    Attributes:
        header: of the file that holds them.
        state: its version before its header was read.
        fingerprint: of the checkpoint's files.
        content: the hash of the checkpoint.
    """

    header: Header
    state: Version
    fingerprint: Fingerprint
    content: str


@dataclass(frozen=True)
class KeptFile:
    """A file of matrices in 8 or 4 bits.

    Attributes:
        model: its name, when it was quantized.
        weights: the path of its first file, then.
        quantize: ``int8`` or ``int4``.
        file: its path.
        nbytes: its size, in bytes.
    """

    model: str
    weights: str
    quantize: str
    file: Path
    nbytes: int


def kept_folder() -> Path:
    """The folder of all these files; it may not exist."""
    return cache_folder() / "quantized"


def path_of(fingerprint: Fingerprint, content: str, quantize: "Quantize") -> Path:
    """The path for a checkpoint's quantized matrices, whether or not they exist."""
    return _folder_of(fingerprint) / f"{content[:16]}-{quantize}.safetensors"


def old_path(header: Header, quantize: "Quantize") -> Path:
    """Where earlier versions put them, in the model's own folder; no longer read."""
    first = header.files[0]
    return first.parent / "gptcli" / f"{first.stem}-{quantize}.safetensors"


def open_if_current(header: Header, blueprint: Blueprint, quantize: "Quantize") -> OpenKeptFile | None:
    """The quantized matrices of exactly these weights; None where there are none.

    Args:
        header: of the checkpoint.
        blueprint: how our tensors are made from it.
        quantize: ``int8`` or ``int4``.

    Raises:
        BrokenKeptError: the file is broken.
        CheckpointError: the checkpoint's files cannot be read, or change while they are.
    """
    fingerprint = fingerprint_of(header, blueprint)
    try:
        if not any(_folder_of(fingerprint).glob(f"*-{quantize}.safetensors")):
            return None
    except (GptcliError, OSError):  # no home folder, or no permission
        return None
    content = content_of(fingerprint)
    path = path_of(fingerprint, content, quantize)
    return _read(path, fingerprint, content, quantize) if path.is_file() else None


def list_kept() -> list[KeptFile]:
    """All files of quantized matrices, by the model's name."""
    try:
        files = sorted(kept_folder().glob("*/*.safetensors"))
    except (GptcliError, OSError):
        return []
    return sorted(filter(None, map(_about, files)), key=lambda kept: (kept.model.lower(), kept.quantize, kept.file))


def kept_of(header: Header, blueprint: Blueprint) -> list[KeptFile]:
    """The files of exactly these weights, broken or not.

    Raises:
        CheckpointError: the checkpoint's files cannot be read.
    """
    fingerprint = fingerprint_of(header, blueprint)
    if not any(kept.file.parent == _folder_of(fingerprint) for kept in list_kept()):
        return []
    paths = [path_of(fingerprint, content_of(fingerprint), quantize) for quantize in KINDS]
    return [about for path in paths if path.is_file() and (about := _about(path))]


def remove_kept(kept: Iterable[KeptFile]) -> None:
    """Remove some of these files.

    Raises:
        GptcliError: a file cannot be removed.
    """
    for one in kept:
        try:
            one.file.unlink(missing_ok=True)
            with suppress(OSError):  # it is not empty
                one.file.parent.rmdir()
        except OSError as error:
            raise GptcliError(f"cannot remove {one.file}: {error.strerror or error}") from error


def described(name: str, header: Header) -> dict[str, str]:
    """The metadata that say, for people, which model a file was made from."""
    return {"model": visible(name, keep=""), "weights": visible(os.path.abspath(header.files[0]), keep="")}


def _folder_of(fingerprint: Fingerprint) -> Path:
    return kept_folder() / fingerprint.digest[:16]


def _read(path: Path, fingerprint: Fingerprint, content: str, quantize: "Quantize") -> OpenKeptFile:
    try:
        state = version_of(path)
        header = read_header(path)
    except (CheckpointError, OSError) as error:
        raise BrokenKeptError(f"{error}") from error
    says = [header.metadata.get(key) for key in ("format", "content", "quantize")]
    if says != [FORMAT, content, quantize]:
        raise BrokenKeptError(f"{path} is not what its name says")
    return OpenKeptFile(header, state, fingerprint, content)


def _about(path: Path) -> KeptFile | None:
    """The facts about a file, even a broken one; None where it is gone."""
    try:
        nbytes = path.stat().st_size
    except OSError:
        return None
    metadata: dict[str, str] = {}
    with suppress(CheckpointError):
        metadata = read_header(path).metadata
    quantize = path.stem.rpartition("-")[2]
    return KeptFile(metadata.get("model", "?"), metadata.get("weights", "?"), quantize, path, nbytes)
