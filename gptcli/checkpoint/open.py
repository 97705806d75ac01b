"""From a name to a model that is ready to run: what it is (``read``), loaded as its ``Placement`` says."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from gptcli.checkpoint.read import Checkpoint, read_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig
from gptcli.model.engine import Engine
from gptcli.tokenizer import Tokenizer

if TYPE_CHECKING:  # torch takes a while to import, and the engine in C does without
    from gptcli.model.gpt import GPT

# Loading matrices in fewer bits that takes longer than this comes with a note on how to shorten it, in seconds.
_LONG_S = 3.0


class OpenCheckpoint:
    """A checkpoint and its placement: the model and the engine are loaded when they are asked for.

    Args:
        what: what the checkpoint is.
        placement: where and how it is to run.
        inside: it is opened to look inside, so that its engine runs the PyTorch model too. Otherwise the engine is what
            runs it fastest.

    Attributes:
        what, placement: as given.
        load_s: seconds it took to load, so far.
    """

    def __init__(self, what: Checkpoint, placement: Placement, *, inside: bool) -> None:
        self.what, self.placement = what, placement
        self.load_s = 0.0
        self._inside = inside
        self._model: GPT | None = None
        self._engine: Engine | None = None
        self._handed_out = False  # whether somebody holds the engine
        self._broken: list[str] = []  # what is kept of it and cannot be used, and why

    @property
    def name(self) -> str:
        """What the user called it."""
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
                self._engine = None  # the weights are not kept twice while one will do
            with self._timed():
                self._model = load_gpt(self.what.blueprint, self.what.header, self.placement, to_run=not self._inside)
        return self._model

    @property
    def engine(self) -> Engine:
        """What runs the model a step at a time: the engine in C where it can, else PyTorch."""
        engine = self.load_engine()
        self._handed_out = True
        return engine

    def load_engine(self) -> Engine:
        """Load the engine, so that what is wrong with the files is told at once.

        Raises:
            GptcliError: see ``open_checkpoint``.
        """
        if self._engine is None:
            engine = self._new_engine()
            if self.what.unused:
                from gptcli.model.silent import SilentEngine

                engine = SilentEngine(engine, self.what.unused)
            self._engine = engine
        return self._engine

    def another_engine(self) -> Engine:
        """An engine of the same weights with a batch of its own, so that it does not disturb what ``engine`` reads.

        Not for a model that several processes hold.
        """
        return self.engine.new_session()

    def _new_engine(self) -> Engine:
        group = self.placement.group
        if not self._inside and group is None:
            from gptcli.checkpoint.weights.native_loader import load_native, why_not_native

            if why_not_native(self.what.blueprint, self.what.header, self.placement) is None:
                with self._timed():
                    return load_native(self.what.blueprint, self.what.header, self.placement, notes=self._broken)

        from gptcli.model.torch_engine import TorchEngine

        return TorchEngine(self.model) if group is None else group.engine(self.model)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found odd about it, and what would be quicker another way."""
        import shlex

        quantize = self.placement.quantize
        command = f"'gptcli models quantize {shlex.quote(self.name)} {quantize}'"
        broken = (f"{reason}: not used; {command} writes it again" for reason in self._broken)
        odd = (*self.what.blueprint.notes, *self.what.tokenizer_notes, *broken)
        if quantize == "none" or self.load_s < _LONG_S or self._model is not None or self._broken:
            return odd

        from gptcli.checkpoint.weights.kept import find as find_kept
        from gptcli.checkpoint.weights.kept import old_path

        with suppress(CheckpointError):  # it changes while this is looked at
            if find_kept(self.what.header, self.what.blueprint, quantize) is not None:
                return odd
        advice = f"{command} keeps that for the next time"
        if (old := old_path(self.what.header, quantize)).is_file():
            advice += f" ({old}, of an earlier gptcli, is not read: delete it)"
        return (*odd, f"it took {self.load_s:.0f} s to open in {quantize}: {advice}")

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
        placement: where and how it is to run; None: wherever that is best.
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
    # Now, and not at first use: what is wrong with the files should be told at once.
    _ = opened.model if inside else opened.load_engine()
    return opened
