"""What a page needs to run a model: data elements, a script, and what its security policy has to allow."""

import zlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from gptcli.checkpoint.read import Checkpoint
from gptcli.show.html.document import data_element
from gptcli.show.live.pack import pack_model
from gptcli.show.live.text_encoding import encode_bytes
from gptcli.show.live.tokenizer import pack_tokenizer

if TYPE_CHECKING:
    from gptcli.model.engine import Quantize

# In this order: each uses what the ones before it define.
_SCRIPTS = ("unpack.js", "tokenizer.js", "engine.js", "service.js", "model.js")


@dataclass(frozen=True)
class LiveParts:
    """A model for a page.

    Attributes:
        elements: HTML: elements of data, none of which is run or shown.
        script: defines ``window.gptcliLive``; it goes before what uses it.
    """

    elements: str
    script: str


def live_parts(what: Checkpoint, quantize: "Quantize") -> LiveParts:
    """A model and its tokenizer for a page.

    Args:
        what: the checkpoint.
        quantize: ``int4``, ``int8`` or ``none``, as for ``--quantize``; the page's logits are those of the command.

    Raises:
        InputError: the engine in C or JavaScript cannot run it, or it is too large; one line.
        GptcliError: it cannot be loaded.
    """
    tokenizer = _deflated(pack_tokenizer(what.tokenizer, what.n_vocab))
    model = pack_model(what, quantize)
    library = packed_library()
    about = {
        "name": what.name,
        "quantize": quantize,
        "model": model.description,
        "sizes": {"library": len(library), "weights": len(model.weights), "tokenizer": len(tokenizer)},
    }
    texts = {"library": library, "weights": model.weights, "tokenizer": tokenizer}
    elements = [
        data_element("live-about", about),
        *(_bytes_element(f"live-{name}", each) for name, each in texts.items()),
    ]
    return LiveParts("".join(elements), "".join(map(script_file, _SCRIPTS)))


def packed_library() -> bytes:
    """The engine in WebAssembly, compressed."""
    return _deflated(files("gptcli.model.native.web").joinpath("engine.wasm").read_bytes())


def script_file(name: str) -> str:
    """A script in this folder."""
    return files("gptcli.show.live").joinpath(name).read_text(encoding="utf-8")


def _deflated(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(data) + deflate.flush()


def _bytes_element(name: str, data: bytes) -> str:
    return f'<script type="application/octet-stream" id="{name}">{encode_bytes(data)}</script>'
