"""From a name to a checkpoint that is ready to run: found, understood, and loaded by whichever engine is to run it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from gptcli.checkpoint.families import Blueprint, read_blueprint
from gptcli.checkpoint.header import Header
from gptcli.checkpoint.source import Source, find, no_weights
from gptcli.errors import CheckpointError
from gptcli.model.engine import Engine, Quantize
from gptcli.tokenizer import Tokenizer, tokenizer_for

if TYPE_CHECKING:  # torch takes a while to import, and the engine in C does without
    from gptcli.model.gpt import GPT
    from gptcli.model.parallel import Group

Purpose = Literal["look inside", "run", "both"]
# Whoever waits longer than this for matrices in fewer bits is told how not to, in seconds.
_LONG_S = 3.0


@dataclass(frozen=True)
class Checkpoint:
    """A model that is ready to run, with the tokenizer it was trained with.

    Attributes:
        name: what the user called it.
        blueprint: what it is and how that is known.
        header: where its tensors lie.
        tokenizer: text <-> ids.
        eos_ids: ids that end a text.
        device, dtype, quantize: where and how it is to run.
        group: the processes that hold the model together; None: this one does alone.
        to: what it was opened for.
    """

    name: str
    blueprint: Blueprint
    header: Header
    tokenizer: Tokenizer
    eos_ids: tuple[int, ...]
    device: str = "auto"
    dtype: str = "auto"
    quantize: Quantize = "none"
    group: "Group | None" = None
    to: Purpose = "look inside"
    _seconds: list[float] = field(default_factory=list)
    _broken: list[str] = field(default_factory=list)  # what is kept of it and cannot be used, and why
    _unused: list[Engine] = field(default_factory=list)  # loaded, and nobody has asked for it yet

    @cached_property
    def model(self) -> "GPT":
        """The PyTorch GPT in eval mode on its device, for whoever wants to see inside."""
        from gptcli.checkpoint.load import choose_device, choose_dtype, load_gpt
        from gptcli.threads import limit_torch_threads

        limit_torch_threads()
        self._unused.clear()  # the weights are not kept twice while one will do
        with self._timed():
            place = choose_device(self.device) if self.group is None else self.group.device
            dtype = choose_dtype(self.dtype, place)
            return load_gpt(
                self.blueprint, self.header, place, dtype, self.group, self.quantize, to_run=self.to == "run"
            )

    @cached_property
    def engine(self) -> Engine:
        """What runs the model a step at a time: the engine in C where it can, else PyTorch."""
        return self._unused.pop() if self._unused else self._new_engine()

    def another_engine(self) -> Engine:
        """An engine of the same weights with a batch of its own, so that it does not disturb what ``engine`` reads.

        Raises:
            InputError: several processes hold the model.
        """
        return self.engine.new_session()

    def _new_engine(self) -> Engine:
        if (self.to == "both" or "model" not in self.__dict__) and self.group is None:
            from gptcli.checkpoint.native import native_engine

            with self._timed():
                wanted = {"device": self.device, "dtype": self.dtype, "quantize": self.quantize}
                native = native_engine(self.blueprint, self.header, **wanted, notes=self._broken)  # type: ignore[arg-type]
            if native is not None:
                return native

        from gptcli.model.torch_engine import TorchEngine

        return TorchEngine(self.model) if self.group is None else self.group.engine(self.model)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found odd about it, and what would be quicker another way."""
        import shlex

        command = f"'gptcli models quantize {shlex.quote(self.name)} {self.quantize}'"
        broken = (f"{reason}: not used; {command} writes it again" for reason in self._broken)
        odd = (*self.blueprint.notes, *broken)
        if self.quantize == "none" or self.load_s < _LONG_S or "model" in self.__dict__ or self._broken:
            return odd

        from gptcli.checkpoint.kept import find as find_kept
        from gptcli.checkpoint.kept import old_path

        with suppress(CheckpointError):  # it changes while this is looked at
            if find_kept(self.header, self.blueprint, self.quantize) is not None:
                return odd
        advice = f"{command} keeps that for the next time"
        if (old := old_path(self.header, self.quantize)).is_file():
            advice += f" ({old}, of an earlier gptcli, is not read: delete it)"
        return (*odd, f"it took {self.load_s:.0f} s to open in {self.quantize}: {advice}")

    @property
    def load_s(self) -> float:
        """Seconds it took to open and load, so far."""
        return sum(self._seconds)

    @cached_property
    def n_vocab(self) -> int:
        """Ids below this stand for text; the rest only pad the embedding."""
        size = min(self.tokenizer.n_vocab, self.blueprint.config.vocab_size)
        return self.tokenizer.text_end(size) or size

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds.append(time.perf_counter() - started)


def understand(name: str, n_head: int | None = None) -> tuple[Source, Header, Blueprint]:
    """Where a checkpoint lies, what its weights are, and what it is; nothing is loaded.

    Args:
        name: as ``open_checkpoint`` takes it.
        n_head: attention heads, for a lone file whose shapes do not tell.

    Raises:
        GptcliError: it is not there, broken, or of no family known here.
    """
    source = find(name)
    header = source.header
    if header is None:
        raise no_weights(source)
    return source, header, read_blueprint(source, header, n_head)


def open_checkpoint(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    n_head: int | None = None,
    group: "Group | None" = None,
    quantize: Quantize = "none",
    to: Purpose = "look inside",
) -> Checkpoint:
    """Find, understand and load a checkpoint.

    Args:
        name: a folder, a .safetensors file, or a bundled checkpoint.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        n_head: attention heads, for a lone file whose shapes do not tell.
        group: the processes that hold the model together, this one among them; it says which device.
        quantize: keep matrices in 8 or 4 bits.
        to: ``run`` loads what generates fastest, and ``model`` only when someone asks for it; ``both`` too, and what
            generates fastest stays what ``engine`` is when ``model`` was asked for first.

    Raises:
        GptcliError: it is not there, broken, of no family known here, or the device is not there.
    """
    started = time.perf_counter()
    source, header, blueprint = understand(name, n_head)
    tokenizer = tokenizer_for(source.folder, blueprint.config.vocab_size)
    own_eos = () if tokenizer.eos_id is None else (tokenizer.eos_id,)
    checkpoint = Checkpoint(
        name, blueprint, header, tokenizer, blueprint.eos_ids or own_eos, device, dtype, quantize, group, to
    )
    checkpoint._seconds.append(time.perf_counter() - started)
    # Now, and not at first use: what is wrong with the files should be told at once.
    if to == "both":
        checkpoint._unused.append(checkpoint._new_engine())
    else:
        _ = checkpoint.model if to == "look inside" else checkpoint.engine
    return checkpoint
