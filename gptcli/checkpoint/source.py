"""A name on the command line -> a local folder or file."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gptcli.checkpoint.header import Header
from gptcli.checkpoint.hub import cached_snapshot, fetch, look
from gptcli.checkpoint.json_text import read_json_object
from gptcli.checkpoint.names import SHORT_NAMES, HubName, parse_hub_name, similar
from gptcli.checkpoint.regular_file import readable
from gptcli.checkpoint.shards import read_header
from gptcli.errors import CheckpointError, InputError, ModelNotFound

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class Source:
    """Where a checkpoint lies.

    Attributes:
        name: what the user called it.
        folder: the folder that holds its files.
        weights: the .safetensors file, or the index of its shards; None when the folder holds none.
        hub_name: what it is called on the hub, where it came from there.
        seen: what the weights hold, where they were looked at on the hub and do not lie here.
    """

    name: str
    folder: Path
    weights: Path | None
    hub_name: HubName | None = None
    seen: Header | None = None

    @cached_property
    def header(self) -> Header | None:
        """What the weights hold; None where there are none.

        Raises:
            CheckpointError: a file is missing or breaks the format.
        """
        return self.seen or (None if self.weights is None else read_header(self.weights))

    @cached_property
    def config(self) -> dict[str, Any] | None:
        """config.json as it is in the folder, or None where there is none.

        Raises:
            CheckpointError: the file is not a JSON object.
        """
        path = self.folder / "config.json"
        with readable(path):
            return read_json_object(path) if path.is_file() else None


def bundled_folder() -> Path:
    """The folder of the checkpoints that come with gptcli: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_weights"
    return inside if inside.is_dir() else package.parent / "weights"


def bundled_names() -> list[str]:
    """Names of the bundled checkpoints (not of the bare vocabulary)."""
    return sorted(path.parent.name for path in bundled_folder().glob("*/config.json"))


def find(name: str, *, refresh: bool = False, only_look: Collection[str] = ()) -> Source:
    """Find a checkpoint: a folder or file of that name, else a bundled one, else one on the hub.

    Args:
        name: a path, a bundled name, a short name (``pythia-70m``) or a hub id (``owner/name``), the latter two with
            ``@revision`` or without.
        refresh: ask the hub for a newer one though it be cached.
        only_look: fetch only these of the small files on the hub, and read the weights' headers there; the source has
            them as ``seen``.

    Raises:
        ModelNotFound: nothing answers to ``name``.
        InputError: ``name`` is a file of another kind.
        CheckpointError: the repository on the hub holds nothing that gptcli reads.
        GptcliError: the download failed.
    """
    path = _existing(name)
    if path is not None:
        return _in_folder(name, path) if path.is_dir() else _lone_file(name, path)
    if name in bundled_names():
        return _in_folder(name, bundled_folder() / name)
    hub_name = parse_hub_name(name)
    if hub_name is None:
        raise ModelNotFound(_nothing_called(name))
    if only_look and cached_snapshot(hub_name) is None:
        weights, seen = look(hub_name, only_look)
        return Source(name, weights.parent, weights, hub_name, seen)
    return replace(_in_folder(name, fetch(hub_name, refresh=refresh)), hub_name=hub_name)


def _existing(name: str) -> Path | None:
    """The folder or file that ``name`` is a path to; None where there is none, or it cannot be a path."""
    try:
        path = Path(name).expanduser()
        return path if name and path.exists() else None  # "" would be the working directory
    except (OSError, RuntimeError, ValueError):  # too long, an unknown ~user, a NUL
        return None


def _nothing_called(name: str) -> str:
    near = similar(name, [*bundled_names(), *SHORT_NAMES])
    hint = f"did you mean {' or '.join(near)}? See " if near else ""
    return (
        f"no model '{name:.200}': it is no folder, no file, and no name that gptcli knows; "
        f"{hint or 'try '}'gptcli models list', or owner/name for a model on the hub"
    )


def _in_folder(name: str, folder: Path) -> Source:
    with readable(folder):
        for candidate in ("model.safetensors", "model.safetensors.index.json"):
            if (folder / candidate).is_file():
                return Source(name, folder, folder / candidate)
        others = sorted(folder.glob("*.safetensors"))
    if len(others) > 1:
        names = ", ".join(other.name for other in others[:5])
        raise InputError(f"{folder} holds several .safetensors files and no index ({names}): name one of them")
    return Source(name, folder, others[0] if others else None)


def _lone_file(name: str, path: Path) -> Source:
    if path.suffix in _PICKLES:
        raise InputError(f"{path} {_is_a_pickle(path.name)}")
    if path.name.endswith(".safetensors") or path.name.endswith(".safetensors.index.json"):
        return Source(name, path.parent, path)
    raise InputError(f"{path} is not a .safetensors file")


def no_weights(source: Source) -> CheckpointError:
    """The error for a folder without a .safetensors file; where it holds a pickle, with how to convert it."""
    with readable(source.folder):
        pickle = next((path.name for path in sorted(source.folder.iterdir()) if path.suffix in _PICKLES), None)
    hint = "" if pickle is None else f"; {pickle} {_is_a_pickle(pickle)}"
    return CheckpointError(f"{source.folder} holds no .safetensors file, so there is no model to run{hint}")


def _is_a_pickle(name: str) -> str:
    # The name is quoted as Python quotes it: what is suggested to be run must not be what a file's name says.
    new = f"{name.rpartition('.')[0]}.safetensors"
    return (
        "is a pickle, which can run code when it is read: convert it to safetensors where you trust it "
        f"(safetensors.torch.save_file(torch.load({name!r}, weights_only=True), {new!r}))"
    )
