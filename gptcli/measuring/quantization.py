"""The effect of 8 and 4 bits on a model's logits over a paragraph of English; and storing the quantized matrices."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from gptcli.checkpoint.weights.kept import KeptFile
from gptcli.checkpoint.weights.placement import Placement
from gptcli.errors import GptcliError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gptcli.model.engine import Quantize

# Any text would do; this one is short, so that a large model answers in seconds.
_TEXT = (
    "The old house stood at the end of the road, where nobody had lived for years. One evening in autumn a girl came "
    "up the hill with a lamp in her hand. She knocked three times, waited, and then opened the door. All was warm."
)


@dataclass(frozen=True)
class Quantized:
    """The effect of one quantization.

    Attributes:
        quantize: ``int8`` or ``int4``.
        bytes_per_token: weights that one step reads, in bytes; None where only torch can run the model.
        largest_difference: of any logit at any position of the text, from the one without quantization.
        mean_difference: the mean of all absolute differences.
        same_best: the share of positions at which the same token is the most probable.
    """

    quantize: str
    bytes_per_token: int | None
    largest_difference: float
    mean_difference: float
    same_best: float


@dataclass(frozen=True)
class QuantizedLogits:
    """What 8 and 4 bits do to a model's logits over a paragraph of English.

    Attributes:
        model: its name, as the user gave it.
        effects: of each quantization.
    """

    schema: ClassVar[str] = "gptcli.models.show.quantized/1"
    table: ClassVar[str] = "effects"

    model: str
    effects: list[Quantized]


@dataclass(frozen=True)
class Removed:
    """Files of quantized matrices that were just removed.

    Attributes:
        removed: the files.
    """

    schema: ClassVar[str] = "gptcli.models.quantize.remove/1"
    table: ClassVar[str] = "removed"

    removed: tuple[KeptFile, ...]


@dataclass(frozen=True)
class Keeping:
    """A file of quantized matrices that was just written.

    Attributes:
        model: its name.
        quantize: ``int8`` or ``int4``.
        file: its path.
        nbytes: its size, in bytes.
        model_nbytes: the size of the model's files, in bytes.
        removed: files of other weights that were at the model's path before.
    """

    schema: ClassVar[str] = "gptcli.models.quantize/1"
    table: ClassVar[str] = ""

    model: str
    quantize: str
    file: Path
    nbytes: int
    model_nbytes: int
    removed: tuple[KeptFile, ...]


def keep_quantized(name: str, quantize: "Quantize", n_head: int | None = None) -> Keeping:
    """Quantize a model's matrices to 8 or 4 bits, and store them in the user's cache.

    Files of other weights that were at the same path are removed: there is one file for each model.

    Args:
        name: of the model, as on the command line.
        quantize: ``int8`` or ``int4``.
        n_head: attention heads, for a lone file whose shapes do not tell.

    Raises:
        InputError: the engine in C, which computes with them, is not there or does not run this model.
        GptcliError: it cannot be opened, changes meanwhile, or the file cannot be written.
    """
    from gptcli.checkpoint.read import understand
    from gptcli.checkpoint.weights.content import changed, fingerprint_of
    from gptcli.checkpoint.weights.kept import described, list_kept, remove_kept
    from gptcli.checkpoint.weights.native_loader import load_native, why_not_native
    from gptcli.checkpoint.weights.quantized_file import write

    source, header, blueprint = understand(name, n_head)
    fingerprint = fingerprint_of(header, blueprint)
    if understand(name, n_head)[1:] != (header, blueprint):
        raise changed(fingerprint)  # after its header was read
    placement = Placement(device="cpu", quantize=quantize)
    reason = why_not_native(blueprint, placement)
    if reason is not None:
        raise InputError(f"{source.name}: only the engine in C computes in 8 and 4 bits: {reason}")
    engine = load_native(blueprint, header, placement, ignore_cache=True)
    file = write(engine, header, fingerprint, quantize, source.name)
    place = described(source.name, header)["weights"]
    others = [kept for kept in list_kept() if (kept.weights, kept.quantize) == (place, quantize) and kept.file != file]
    remove_kept(others)
    nbytes = sum(state.size for state in fingerprint.states)
    return Keeping(name, quantize, file, file.stat().st_size, nbytes, tuple(others))


def remove_quantized(name: str, quantize: "Quantize | None", n_head: int | None = None) -> Removed:
    """Remove the quantized matrices of a model, which may itself be gone.

    Args:
        name: of the model, as on the command line, or as it is listed.
        quantize: ``int8`` or ``int4``; None: both.
        n_head: attention heads, for a lone file whose shapes do not tell.

    Returns:
        The files removed: of these weights, of others at the same path, or of a model of this name.

    Raises:
        InputError: nothing is kept of it.
        GptcliError: a file cannot be removed.
    """
    from gptcli.checkpoint.read import understand
    from gptcli.checkpoint.weights.kept import described, kept_of, list_kept, remove_kept
    from gptcli.text import visible

    files, place = set(), None
    with suppress(GptcliError):  # gone or broken
        source, header, blueprint = understand(name, n_head)
        place = described(source.name, header)["weights"]
        files = {kept.file for kept in kept_of(header, blueprint)}
    shown = visible(name, keep="")
    removed = tuple(
        kept
        for kept in list_kept()
        if quantize in (None, kept.quantize) and (kept.file in files or place == kept.weights or shown == kept.model)
    )
    if not removed:
        raise InputError(f"nothing is kept of {name:.200} ('gptcli models list' says of what there is)")
    remove_kept(removed)
    return Removed(removed)


def quantized_logits(name: str, n_head: int | None = None) -> QuantizedLogits:
    """Run a model as it is, in 8 bits and in 4, and compare.

    Args:
        name: of the model, as on the command line.
        n_head: attention heads, for a lone file whose shapes do not tell.

    Raises:
        GptcliError: it cannot be opened.
        InputError: its tokenizer makes fewer than two tokens of the text.
    """
    import numpy as np

    exact, _ = _logits(name, "none", n_head)
    effects = []
    for quantize in ("int8", "int4"):
        logits, nbytes = _logits(name, quantize, n_head)
        differences = np.abs(logits - exact)
        same = float((logits.argmax(-1) == exact.argmax(-1)).mean())
        effects.append(Quantized(quantize, nbytes, float(differences.max()), float(differences.mean()), same))
    return QuantizedLogits(name, effects)


def _logits(name: str, quantize: "Quantize", n_head: int | None) -> "tuple[NDArray[np.float32], int | None]":
    """Logits at each position of the text, [T, V], and the bytes that a step reads."""
    from gptcli.checkpoint.open import open_checkpoint

    checkpoint = open_checkpoint(name, Placement(device="cpu", quantize=quantize), n_head=n_head, inside=False)
    engine = checkpoint.engine
    ids = checkpoint.tokenizer.encode(_TEXT)[: engine.n_positions]
    if len(ids) < 2 or max(ids) >= checkpoint.n_vocab:
        raise InputError(f"{name}: its tokenizer does not know plain English, so there is nothing to compare")
    engine.prefill([ids[:1]], len(ids))
    facts = engine.facts()
    nbytes = facts.weight_bytes if facts.weights == quantize else None  # otherwise torch ran it
    return engine.extend(ids[1:])[:, : checkpoint.n_vocab], nbytes
