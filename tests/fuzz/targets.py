"""What bytes are given to, one parser at a time: each reads them or refuses them with an error of ours."""

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gptcli.checkpoint.chat_templates import read_chat_templates
from gptcli.checkpoint.families import read_blueprint
from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.generation_config import read_generation_config
from gptcli.checkpoint.hub.answers import read_listing
from gptcli.checkpoint.source import find
from gptcli.errors import GptcliError
from gptcli.generation.chat.layout import starting_sampling
from gptcli.generation.chat.renderer import Renderer
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import tokenizer_for

_EMPTY_HEADER = struct.pack("<Q", 2) + b"{}"


@dataclass(frozen=True)
class Target:
    """One file of a checkpoint.

    Attributes:
        file: its name.
        read: opens the folder that it lies in.
        part: of a healthy file, what is worth changing.
    """

    file: str
    read: Callable[[Path], object]
    part: Callable[[bytes], bytes] = bytes

    def open(self, data: bytes, folder: Path) -> None:
        """Read a file of these bytes; whatever is not an error of ours goes through."""
        (folder / self.file).write_bytes(data)
        with suppress(GptcliError):
            self.read(folder)


def _header(folder: Path) -> None:
    header = read_header(folder / "model.safetensors")
    assert all(tensor.start + tensor.nbytes <= tensor.file.stat().st_size for tensor in header.tensors.values())


def _index(folder: Path) -> None:
    assert all(file.parent == folder for file in read_header(folder / "model.safetensors.index.json").files)


def _config(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(_EMPTY_HEADER)
    source = find(str(folder))
    assert source.weights is not None
    read_blueprint(source, read_header(source.weights), None)


def _tokenizer(folder: Path) -> None:
    tokenizer = tokenizer_for(folder, None)
    for text in ("The king's  horse, aab\n", ""):
        ids = tokenizer.encode(text)
        assert all(0 <= token < tokenizer.n_vocab for token in ids)
        tokenizer.decode(ids)
        if "BPE" in tokenizer.kind:
            assert [token for piece in tokenizer.merges(text) for token in piece.ids] == ids


def _template(folder: Path) -> None:
    chosen = read_chat_templates(folder).choose()
    if chosen is None:
        return
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<think>\n</think>Yes?"}]
    variables = {"messages": messages, "eos_token": "</s>", "add_generation_prompt": True}
    assert isinstance(_renderer().render(chosen.text, variables, chosen.place), str)


@cache
def _renderer() -> Renderer:
    return Renderer()


def _generation(folder: Path) -> None:
    made = read_generation_config(folder)
    starting_sampling(Sampling(), set(), made)


def _listing(folder: Path) -> None:
    listing = read_listing((folder / "listing.json").read_bytes(), "main")
    assert all((folder / file).parent == folder for file in listing.sizes)


def _only_header(data: bytes) -> bytes:
    return data[: 8 + struct.unpack("<Q", data[:8])[0] + 64]


TARGETS = {
    "header": Target("model.safetensors", _header, _only_header),
    "index": Target("model.safetensors.index.json", _index),
    "config": Target("config.json", _config),
    "listing": Target("listing.json", _listing),
    "tokenizer": Target("tokenizer.json", _tokenizer),
    "template": Target("chat_template.jinja", _template),
    "generation": Target("generation_config.json", _generation),
}
