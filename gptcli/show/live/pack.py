"""A model as the page holds it: a description for engine.js, and its weights as the engine in C keeps them."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptcli.checkpoint.read import Checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.errors import InputError
from gptcli.show.live.prediction import LEAST_ROWS, MOST_COLUMNS, predict
from gptcli.text import clipped, size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gptcli.model.config import GPTConfig
    from gptcli.model.engine import Quantize
    from gptcli.model.native.engine import NativeEngine
    from gptcli.model.native.weights import Kind

LARGEST = 60_000_000
"""The most bytes of weights that a page holds."""
LONGEST = 1024
"""The most tokens of a text: pictures of more have no room on a screen."""


@dataclass(frozen=True)
class PackedModel:
    """A model for engine.js.

    Attributes:
        description: its shape, and which weights follow one another: what JSON holds.
        weights: their bytes, compressed (raw deflate, RFC 1951).
    """

    description: dict[str, Any]
    weights: bytes


def pack_model(what: Checkpoint, quantize: "Quantize") -> PackedModel:
    """Load a model into the engine in C and take it from there, so that the page's numbers are the command's.

    Args:
        what: the checkpoint.
        quantize: ``int4``, ``int8`` or ``none``, as for ``--quantize``.

    Raises:
        InputError: the engine in C does not run it, or it is too large.
        GptcliError: it cannot be loaded.
    """
    from gptcli.checkpoint.weights.native_loader import load_native, why_not_native

    placement = Placement("cpu", quantize=quantize)
    why = why_not_native(what.blueprint, placement)
    if why is not None:
        raise InputError(f"a page cannot run {clipped(what.name)}: {why}")
    _check_size(what, quantize, sum(_least_bytes(what.config, quantize)))
    engine = load_native(what.blueprint, what.header, placement)
    parts = [*_matrices(engine), *_vectors(engine)]
    _check_size(what, quantize, sum(part.nbytes for part in parts))
    # The code adapts to the numbers; there are no repetitions in them to find.
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    weights = b"".join(deflate.compress(data) for part in parts for data in part.numbers) + deflate.flush()
    listed = {kind: [part.about for part in parts if part.kind == kind] for kind in ("matrices", "vectors")}
    return PackedModel({**_described(what, engine.cache_type.itemsize), **listed}, weights)


def _least_bytes(config: "GPTConfig", quantize: "Quantize") -> Iterator[float]:
    """About how large each weight is, at least: a model that is far too large is refused before it is loaded."""
    from math import prod

    from gptcli.model.native.weights import is_matrix
    from gptcli.model.quantize import kind_of
    from gptcli.model.shapes import parameter_shapes

    for name, shape in parameter_shapes(config).items():
        kept = kind_of(name, quantize) if quantize != "none" and is_matrix(name) else None
        yield prod(shape) * {None: 2, "int8": 1, "int4": 0.5}[kept]


def _check_size(what: Checkpoint, quantize: "Quantize", nbytes: float) -> None:
    if nbytes > LARGEST:
        tried = "" if quantize == "int4" else " (--quantize int4 makes it smaller)"
        raise InputError(
            f"{clipped(what.name)} is too large for a page: its weights have {size(int(nbytes))}, and a page holds "
            f"{size(LARGEST)}{tried}"
        )


@dataclass(frozen=True)
class _Part:
    """A weight.

    Attributes:
        kind: ``matrices`` or ``vectors``.
        about: what engine.js has to know.
        nbytes: in memory.
        numbers: the bytes that are written for it, in order.
    """

    kind: str
    about: dict[str, Any]
    nbytes: int
    numbers: list[bytes]


def _matrices(engine: "NativeEngine") -> Iterator[_Part]:
    from gptcli.model.native.weights import KINDS, MATRICES, slot_of
    from gptcli.model.shapes import parameter_shapes

    shapes = parameter_shapes(engine.config)
    for name in engine.matrices:
        layer, slot = slot_of(name)
        numbers, scales = engine.kept(name)
        rows, row_bytes = numbers.shape
        kind: Kind = "int8" if scales is not None else engine.kinds[name]
        predicted = scales is not None and rows >= LEAST_ROWS and row_bytes <= MOST_COLUMNS
        about = {
            **{"which": MATRICES.index(slot), "layer": layer, "kind": KINDS.index(kind), "rows": rows},
            **{"columns": shapes[name][1], "row_bytes": row_bytes, "predicted": predicted},
        }
        written = [] if scales is None else [scales.tobytes()]
        written += _written(numbers, scales if predicted else None)
        yield _Part("matrices", about, numbers.nbytes + (0 if scales is None else scales.nbytes), written)


def _written(numbers: "NDArray[np.uint8]", scales: "NDArray[np.float32] | None") -> list[bytes]:
    """The bytes of a matrix; with the scales of its rows: by way of a prediction."""
    import numpy as np

    if scales is None:
        return [numbers.tobytes()]
    shared, factors, left = predict(numbers.view(np.int8), scales)
    return [shared.astype("<i2").tobytes(), factors.tobytes(), left.tobytes()]


def _vectors(engine: "NativeEngine") -> Iterator[_Part]:
    from gptcli.model.native.weights import VECTORS, slot_of

    for name, vector in engine.vectors.items():
        layer, slot = slot_of(name)
        about = {"which": VECTORS.index(slot), "layer": layer, "count": vector.size}
        yield _Part("vectors", about, vector.nbytes, [vector.tobytes()])


def _described(what: Checkpoint, cache_bytes: int) -> dict[str, Any]:
    """The model's shape for engine.js: the structure that the library takes, and what the page computes itself.

    Args:
        what: the model.
        cache_bytes: of one number of the cached keys and values.
    """
    from gptcli.model.native.shape import shape_of
    from gptcli.model.positions import query_growth

    config, shape = what.config, shape_of(what.config)
    length = longest(config)
    kinds = {field[0]: field[1].__name__ for field in shape._fields_}
    return {
        "shape": {
            "integers": [getattr(shape, name) for name, kind in kinds.items() if kind == "c_int"],
            "floats": [getattr(shape, name) for name, kind in kinds.items() if kind == "c_float"],
            "scales": shape.attention_scales[: config.n_layer],
            "windows": shape.windows[: config.n_layer],
            "tables": shape.rotary_tables[: config.n_layer],
            "slopes": shape.alibi_slopes[: config.n_head] if shape.alibi_slopes else None,
        },
        "rotary": list(_rotary(config)),
        "growth": query_growth(config, length).tolist() if config.query_growth else None,
        "layers": config.n_layer,
        "heads": config.n_head,
        "kv_heads": config.kv_heads,
        "head_size": config.head_size,
        "width": config.n_embd,
        "vocab_size": config.vocab_size,
        "n_vocab": what.n_vocab,
        "unused": list(what.unused),
        "n_positions": length,
        "cached_per_token": config.cached_per_token,
        "cache_bytes": cache_bytes,
    }


def longest(config: "GPTConfig") -> int:
    """The most tokens of a text: beyond the first context of some rotary tables, angles depend on the text's length."""
    firsts = [table.original or 1 for table in config.rotary if table.kind in ("dynamic", "longrope")]
    return min([config.n_positions, LONGEST, *(firsts if config.positions == "rotary" else [])])


def _rotary(config: "GPTConfig") -> Iterator[dict[str, Any] | None]:
    """The rotary tables: the angle of each pair from one position to the next, and a factor; None for one not used."""
    from gptcli.model.positions import frequencies

    used = {config.rotary_table(layer) for layer in range(config.n_layer)}
    for place, table in enumerate(config.rotary):
        about = {"frequencies": frequencies(table, config.rotary_dim, 1).tolist(), "factor": table.attention_factor}
        yield about if place in used else None
