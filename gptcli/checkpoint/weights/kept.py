"""Where matrices in 8 and 4 bits are kept: which files there are, of which weights, and how to be rid of them.

They lie in the user's cache, ``quantized/LOOK/CONTENT-int8.safetensors``, named after the weights' content (see
``content``), so that no name, place or date of a model can lead to another model's. What a model's own folder holds is
never read as ours. ``quantized`` fills engines from them and writes them.
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

if TYPE_CHECKING:  # numpy, which a list of files does without
    from gptcli.model.engine import Quantize

# Of what is kept: raised when the engine keeps matrices otherwise, or the file says it otherwise.
FORMAT = "2"
KINDS: "tuple[Quantize, ...]" = ("int8", "int4")


class BrokenKeptError(CheckpointError):
    """What is kept cannot be used: it is worked out again, and the user told."""


@dataclass(frozen=True)
class OpenKeptFile:
    """Matrices that are kept of a checkpoint.

    Attributes:
        header: of the file that holds them.
        state: what the system said of that file before its header was read.
        fingerprint: of the checkpoint's files when they were found to be those that these are of.
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
        name: what the model was called when they were worked out.
        weights: where its weights lay, the first file of them.
        quantize: ``int8`` or ``int4``.
        file: where they lie.
        nbytes: their size.
    """

    name: str
    weights: str
    quantize: str
    file: Path
    nbytes: int


def kept_folder() -> Path:
    """The folder of all that is kept; it need not be there."""
    return cache_folder() / "quantized"


def path_of(fingerprint: Fingerprint, content: str, quantize: "Quantize") -> Path:
    """Where a checkpoint's matrices are kept, or would be."""
    return _folder_of(fingerprint) / f"{content[:16]}-{quantize}.safetensors"


def old_path(header: Header, quantize: "Quantize") -> Path:
    """Where earlier versions kept them: in the model's folder, which belongs to its maker. Never read."""
    first = header.files[0]
    return first.parent / "gptcli" / f"{first.stem}-{quantize}.safetensors"


def open_if_current(header: Header, blueprint: Blueprint, quantize: "Quantize") -> OpenKeptFile | None:
    """What is kept of exactly these weights; None where nothing is.

    Args:
        header: of the checkpoint.
        blueprint: how our tensors are made from it.
        quantize: ``int8`` or ``int4``.

    Raises:
        BrokenKeptError: what is kept is broken.
        CheckpointError: the checkpoint's files cannot be read, or change while they are.
    """
    fingerprint = fingerprint_of(header, blueprint)
    try:
        if not any(_folder_of(fingerprint).glob(f"*-{quantize}.safetensors")):
            return None
    except (GptcliError, OSError):  # no home folder, or not ours to read
        return None
    content = content_of(fingerprint)
    path = path_of(fingerprint, content, quantize)
    return _read(path, fingerprint, content, quantize) if path.is_file() else None


def list_kept() -> list[KeptFile]:
    """All that is kept, of whichever models, by name."""
    try:
        files = sorted(kept_folder().glob("*/*.safetensors"))
    except (GptcliError, OSError):
        return []
    return sorted(filter(None, map(_about, files)), key=lambda kept: (kept.name.lower(), kept.quantize, kept.file))


def kept_of(header: Header, blueprint: Blueprint) -> list[KeptFile]:
    """What is kept of exactly these weights, broken or not.

    Raises:
        CheckpointError: the checkpoint's files cannot be read.
    """
    fingerprint = fingerprint_of(header, blueprint)
    if not any(kept.file.parent == _folder_of(fingerprint) for kept in list_kept()):
        return []
    paths = [path_of(fingerprint, content_of(fingerprint), quantize) for quantize in KINDS]
    return [about for path in paths if path.is_file() and (about := _about(path))]


def remove_kept(kept: Iterable[KeptFile]) -> None:
    """Remove some of what is kept.

    Raises:
        GptcliError: a file cannot be removed.
    """
    for one in kept:
        try:
            one.file.unlink(missing_ok=True)
            with suppress(OSError):  # others are left in it
                one.file.parent.rmdir()
        except OSError as error:
            raise GptcliError(f"cannot remove {one.file}: {error.strerror or error}") from error


def described(name: str, header: Header) -> dict[str, str]:
    """What a file says of the model that it was made of, for people."""
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
    """What is known of a file, though it be broken; None where it is gone."""
    try:
        nbytes = path.stat().st_size
    except OSError:
        return None
    metadata: dict[str, str] = {}
    with suppress(CheckpointError):
        metadata = read_header(path).metadata
    quantize = path.stem.rpartition("-")[2]
    return KeptFile(metadata.get("model", "?"), metadata.get("weights", "?"), quantize, path, nbytes)
