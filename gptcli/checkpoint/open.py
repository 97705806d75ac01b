"""From a name to a model that is ready to run: read by ``read``, and loaded according to its ``Placement``."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from gptcli.checkpoint.read import Checkpoint, read_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.errors import CheckpointError, InputError
from gptcli.model.config import GPTConfig
from gptcli.model.engine import Engine
from gptcli.tokenizer import Tokenizer

if TYPE_CHECKING:  # slow to import, and not needed by each other
    from gptcli.model.gpt import GPT
    from gptcli.model.native.engine import NativeEngine

# Quantizing for longer than this, in seconds, comes with a note on how to shorten it.
_LONG_S = 3.0


class Changes(Protocol):
    """What is changed in a model while it runs (``inspection.interventions``)."""

    @property
    def told(self) -> tuple[str, ...]:
        """The options that say so, as typed."""

    def check(self, ids: Sequence[int]) -> None:
        """Raise InputError where a text lacks a position or a word that is changed."""

    @property
    def frozen(self) -> bool:
        """Whether attention weights are held as they are without the changes, which only PyTorch can do."""

    def engine(self, model: "GPT", ids: Sequence[int] | None = None) -> Engine:
        """An engine that runs the changed model; ``ids``: the one text that it reads, where that is known."""

    def native_engine(self, engine: "NativeEngine", ids: Sequence[int] | None = None) -> Engine:
        """The same in C, with the weights of an engine; not where ``frozen``."""

    def recording_engine(self, engine: "NativeEngine", ids: Sequence[int]) -> "NativeEngine":
        """An engine with the weights of another that records this one text with the changes; not where ``frozen``."""

    def on_text(self, model: "GPT", ids: Sequence[int]) -> AbstractContextManager[None]:
        """Run the model on one text, once, with the changes."""


class OpenCheckpoint:
    """A checkpoint and its placement; the model and the engine are loaded at their first use.

    Args:
        what: what the checkpoint is.
        placement: where and how to run it.
        inside: opened to look inside, so the engine runs the PyTorch model. Otherwise it is the fastest engine.

    Attributes:
        what, placement: as given.
        load_s: seconds spent on loading so far.
        changes: what is changed while the model runs; None: nothing.
    """

    def __init__(self, what: Checkpoint, placement: Placement, *, inside: bool) -> None:
        self.what, self.placement = what, placement
        self.load_s = 0.0
        self.changes: Changes | None = None
        self._inside = inside
        self._model: GPT | None = None
        self._engine: Engine | None = None
        self._native: NativeEngine | None = None  # the same without masks, where it is the one in C
        self._base: NativeEngine | None = None  # the engine in C whose weights this one has, with or without changes
        self._handed_out = False  # whether a caller has the engine
        self._broken: list[str] = []  # why stored quantized matrices could not be used

    @property
    def name(self) -> str:
        """The name that the user gave."""
        return self.what.name

    @property
    def config(self) -> GPTConfig:
        """Its shape."""
        return self.what.config

    @property
    def tokenizer(self) -> Tokenizer:
        """Text <-> ids."""
        return self.what.tokenizer

    @property
    def n_vocab(self) -> int:
        """Ids below this stand for text."""
        return self.what.n_vocab

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Ids that end a text."""
        return self.what.eos_ids

    def encode_prompt(self, text: str, *, bos: bool = False) -> list[int]:
        """The ids that the model reads for a text (see ``Checkpoint.encode_prompt``)."""
        return self.what.encode_prompt(text, bos=bos)

    @property
    def model(self) -> "GPT":
        """The PyTorch GPT in eval mode on its device, for looking inside.

        Raises:
            GptcliError: see ``open_checkpoint``.
        """
        if self._model is None:
            from gptcli.checkpoint.weights.torch_loader import load_gpt
            from gptcli.system.threads import limit_torch_threads

            limit_torch_threads()
            if not self._handed_out:
                self._engine = self._native = None  # the weights are held once where possible
            with self._timed():
                self._model = load_gpt(self.what.blueprint, self.what.header, self.placement, to_run=not self._inside)
        return self._model

    @property
    def engine(self) -> Engine:
        """The engine: the one in C where it runs this model, else PyTorch."""
        engine = self.load_engine()
        self._handed_out = True
        return engine

    @property
    def native(self) -> "NativeEngine | None":
        """The engine in C, for what only it can record or change; None where PyTorch runs this model."""
        if not self._inside and self.changes is None and (self._engine is not None or self._model is None):
            _ = self.engine
        return self._native

    def native_for(self, ids: Sequence[int], *, unchanged: bool = False) -> "NativeEngine | None":
        """The engine in C to record one text, with the changes or without; None where PyTorch runs the model."""
        if self.changes is None or self._base is None:
            return self.native
        return self._base if unchanged else self.changes.recording_engine(self._base, ids)

    def load_engine(self) -> Engine:
        """Load the engine now, so that errors in the files are raised at once.

        Raises:
            GptcliError: see ``open_checkpoint``.
        """
        if self._engine is None:
            self._engine = self._silenced(self._new_engine())
        return self._engine

    def another_engine(self) -> Engine:
        """An engine with the same weights and a batch of its own, independent of ``engine``.

        Not for a model split over processes.
        """
        return self.engine.new_session()

    def engine_for(self, ids: Sequence[int]) -> Engine:
        """``another_engine`` to read one text: what is changed at its positions refers to all of it."""
        if self.changes is None:
            return self.another_engine()
        return self._silenced(self._changed_engine(self.changes, ids))

    def _changed_engine(self, changes: Changes, ids: Sequence[int] | None = None) -> Engine:
        base = self._base
        return changes.engine(self.model, ids) if base is None else changes.native_engine(base, ids)

    @property
    def told_changes(self) -> list[str] | None:
        """What is changed, for results: the options as typed; None: nothing."""
        return None if self.changes is None else list(self.changes.told)

    def changed(self, changes: Changes | None) -> "OpenCheckpoint":
        """The same model, with the weights in memory once, and other changes while it runs."""
        native = self._base or self.native
        if changes is not None and changes.frozen:
            native = None
        if changes is not None and native is None:
            self._check_cache()
        made = OpenCheckpoint(self.what, self.placement, inside=native is None)
        made.changes, made.load_s, made._base = changes, self.load_s, native
        if native is None:
            made._model = self.model
        else:
            self._handed_out = True  # its weights stay
        return made

    def _silenced(self, engine: Engine) -> Engine:
        """The engine, which never chooses ids without a token."""
        if not self.what.unused:
            return engine
        from gptcli.model.silent import SilentEngine

        return SilentEngine(engine, self.what.unused)

    def _new_engine(self) -> Engine:
        group = self.placement.group
        if self._base is not None:
            if self.changes is None:
                self._native = self._base.new_session()
                return self._native
            return self._changed_engine(self.changes)
        if self.changes is None and not self._inside and group is None:
            from gptcli.checkpoint.weights.native_loader import load_native, why_not_native

            if why_not_native(self.what.blueprint, self.placement) is None:
                with self._timed():
                    self._native = load_native(
                        self.what.blueprint, self.what.header, self.placement, notes=self._broken
                    )
                return self._native
        self._check_cache()
        if self.changes is not None:
            return self._changed_engine(self.changes)

        from gptcli.model.torch_engine import TorchEngine

        return TorchEngine(self.model) if group is None else group.engine(self.model)

    def _check_cache(self) -> None:
        """Refuse a precision of the cache where PyTorch runs the model."""
        if self.placement.cache != "auto":
            raise InputError("--cache is for the engine in C, which cannot run this: leave --cache out")

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user: what was assumed, and what would be faster."""
        import shlex

        quantize = self.placement.quantize
        command = f"'gptcli models quantize {shlex.quote(self.name)} {quantize}'"
        broken = (f"{reason}: not used; {command} writes it again" for reason in self._broken)
        notes = (*self.what.blueprint.notes, *self.what.tokenizer_notes, *broken)
        if quantize == "none" or self.load_s < _LONG_S or self._model is not None or self._broken:
            return notes

        from gptcli.checkpoint.weights.kept import old_path, open_if_current

        with suppress(CheckpointError):  # it changed meanwhile
            if open_if_current(self.what.header, self.what.blueprint, quantize) is not None:
                return notes
        advice = f"{command} keeps that for the next time"
        if (old := old_path(self.what.header, quantize)).is_file():
            advice += f" ({old}, of an earlier gptcli, is not read: delete it)"
        return (*notes, f"it took {self.load_s:.0f} s to open in {quantize}: {advice}")

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.load_s += time.perf_counter() - started


def open_checkpoint(
    name: str,
    placement: Placement | None = None,
    n_head: int | None = None,
    *,
    inside: bool = True,
    tokenizer: str | None = None,
) -> OpenCheckpoint:
    """Find, understand and load a checkpoint.

    Args:
        name: a folder, a .safetensors file, a bundled or short name, or ``owner/name`` on the hub.
        placement: where and how to run it; None: the best available.
        n_head: attention heads, for a lone file whose shapes do not tell.
        inside: load the PyTorch model, to look inside it. Otherwise what generates fastest is loaded, and the model
            only when it is asked for.
        tokenizer: the name of another one whose tokenizer reads its texts; None: its own.

    Raises:
        GptcliError: it is not there, broken, of no family known here, or the device is not there.
    """
    started = time.perf_counter()
    opened = OpenCheckpoint(read_checkpoint(name, n_head, tokenizer), placement or Placement(), inside=inside)
    opened.load_s += time.perf_counter() - started
    # Now and not at first use, so that errors in the files are raised at once.
    _ = opened.model if inside else opened.load_engine()
    return opened
