"""A name on the command line -> a local folder or file."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.files.names import is_index, lost_index, other_weights, variants_among, weights_among
from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.hub.cached import TOKENIZER_FILES, cached_snapshot
from gptcli.checkpoint.hub.models import fetch, look
from gptcli.checkpoint.hub.names import SHORT_NAMES, HubName, parse_hub_name, similar
from gptcli.checkpoint.hub.spellings import plain_name, why_not_there
from gptcli.errors import CheckpointError, InputError, ModelNotFound
from gptcli.system.bundled import bundled_folder, bundled_names
from gptcli.system.json_text import read_json_object
from gptcli.system.regular_file import readable
from gptcli.text import clipped

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class Source:
    """The folder and files of a checkpoint.

    Attributes:
        name: as the user gave it.
        folder: of its files.
        weights: the .safetensors file, or the index of its shards; None when the folder holds none.
        hub_name: its name on the hub, if it is from there.
        seen: the header, where it was read on the hub and the weights are not downloaded.
        lacks_tokenizer: why the files of its tokenizer, which may be on the hub, are not in the cache; None: they are,
            or there are none.
    """

    name: str
    folder: Path
    weights: Path | None
    hub_name: HubName | None = None
    seen: Header | None = None
    lacks_tokenizer: str | None = None

    @cached_property
    def header(self) -> Header | None:
        """The header of the weights; None where there are none.

        Raises:
            CheckpointError: a file is missing or breaks the format.
        """
        return self.seen or (None if self.weights is None else read_header(self.weights))

    @cached_property
    def config(self) -> dict[str, Any] | None:
        """The content of config.json; None where there is none.

        Raises:
            CheckpointError: the file is not a JSON object.
        """
        path = self.folder / "config.json"
        with readable(path):
            return read_json_object(path) if path.is_file() else None


def find(name: str, *, refresh: bool = False, only_look: Collection[str] = ()) -> Source:
    """Find a checkpoint: a folder or file of that name, else a bundled one, else one on the hub.

    Args:
        name: a path, a bundled name, a short name (``pythia-70m``) or a hub id (``owner/name``), the latter two with
            ``@revision`` or without.
        refresh: ask the hub for a newer version even if it is cached.
        only_look: from the hub, download only these small files, and read the weights' headers there (``seen``).

    Raises:
        ModelNotFound: there is no checkpoint of that name.
        InputError: ``name`` is a file of another kind.
        CheckpointError: the repository on the hub holds nothing that gptcli reads.
        GptcliError: the download failed.
    """
    path = _existing(name)
    if path is not None:
        return _in_folder(name, path) if path.is_dir() else _lone_file(name, path)
    if (bundled := name.rstrip("/")) in bundled_names():
        return _in_folder(bundled, bundled_folder() / bundled)
    hub_name = None if why_not_there(name) else parse_hub_name(name)
    if hub_name is None:
        raise ModelNotFound(nothing_called(name))
    shown = plain_name(name)
    needs_tokenizer = not only_look or set(only_look) >= set(TOKENIZER_FILES)
    if only_look and cached_snapshot(hub_name) is None:
        weights, seen = look(hub_name, only_look)
        return Source(shown, weights.parent, weights, hub_name, seen)
    folder, lacks = fetch(hub_name, refresh=refresh, tokenizer=needs_tokenizer)
    return replace(_in_folder(shown, folder), hub_name=hub_name, lacks_tokenizer=lacks)


def _existing(name: str) -> Path | None:
    """The folder or file that ``name`` is a path to; None where there is none, or it cannot be a path."""
    try:
        path = Path(name).expanduser()
        return path if name and path.exists() else None  # "" would be the working directory
    except (OSError, RuntimeError, ValueError):  # too long, an unknown ~user, a NUL
        return None


def nothing_called(name: str, also: Collection[str] = ()) -> str:
    """The error for a name of nothing that gptcli knows.

    Args:
        name: as the user gave it.
        also: names that the command knows besides those of models.
    """
    if (why := why_not_there(name)) is not None:
        return f"no model '{clipped(name)}': {why}"
    near = similar(name, dict.fromkeys([*also, *bundled_names(), *SHORT_NAMES]))
    hint = f"did you mean {' or '.join(near)}? See " if near else ""
    return (
        f"no model '{clipped(name)}': it is no folder, no file, and no name that gptcli knows; "
        f"{hint or 'try '}'gptcli models list', or owner/name for a model on the hub"
    )


def _in_folder(name: str, folder: Path) -> Source:
    with readable(folder):
        names = {each.name for each in folder.glob("*.safetensors*") if each.is_file()}
    chosen = weights_among(names)
    if chosen is None:
        others = variants_among(names) or other_weights(names)
        if len(others) > 1:
            raise _which_of(folder, others)
        chosen = others[0] if others else None
    return Source(name, folder, None if chosen is None else folder / chosen)


def _which_of(folder: Path, others: list[str]) -> InputError:
    """The error for a folder with several files of weights."""
    names = ", ".join(others[:5])
    index = lost_index(others)
    if index is not None:
        return InputError(f"{folder} holds shards of a model ({names}) and not their index: put {index} there too")
    example = clipped(str(folder / others[0]))
    return InputError(
        f"{folder} holds several .safetensors files and no index ({names}): name one of them ('{example}')"
    )


def _lone_file(name: str, path: Path) -> Source:
    if path.suffix in _PICKLES:
        raise InputError(f"{path} {_is_a_pickle(path.name)}")
    if path.name.endswith(".safetensors") or is_index(path.name):
        return Source(name, path.parent, path)
    raise InputError(f"{path} is not a .safetensors file")


def no_weights(source: Source) -> CheckpointError:
    """The error for a folder without a .safetensors file; where it holds a pickle, with how to convert it."""
    with readable(source.folder):
        pickle = next((path.name for path in sorted(source.folder.iterdir()) if path.suffix in _PICKLES), None)
        told = (source.folder / "config.json").is_file()
    hint = "" if pickle is None else f"; {pickle} {_is_a_pickle(pickle, source.folder if told else None)}"
    return CheckpointError(f"{source.folder} holds no .safetensors file, so there is no model to run{hint}")


def _is_a_pickle(name: str, folder: Path | None = None) -> str:
    """What to do with a pickle; in a folder with a config.json transformers knows how to read all of its parts."""
    # Quoted as Python strings: a file's name must not become code in a suggested command.
    if folder is not None and name.startswith("pytorch_model"):
        place = clipped(str(folder))
        load = f"from transformers import AutoModelForCausalLM as M; m = M.from_pretrained({place!r})"
        code = f"{load}; m.save_pretrained({place!r})"
    else:
        # Trainers keep the weights under one of these keys; a clone, as tied weights share their memory.
        new = f"{name.rpartition('.')[0]}.safetensors"
        code = (
            f"import torch, safetensors.torch; t = torch.load({name!r}, map_location='cpu', weights_only=True); "
            "t = t.get('model', t.get('state_dict', t.get('model_state_dict', t))); "
            "t = {k: v.clone().contiguous() for k, v in t.items() if hasattr(v, 'clone')}; "
            f"safetensors.torch.save_file(t, {new!r})"
        )
    return f"is a pickle, which can run code when it is read: convert it in Python where you trust it: {code}"
