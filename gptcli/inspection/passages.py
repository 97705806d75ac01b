"""The passages of a long text that excite one neuron most.

The text is read in windows of the context that overlap: each token is judged where tokens stand before it and after
it. Only the best tokens and what stands around them are kept, so that memory does not grow with the text.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.inspection.neuron_weights import Neuron
from gptcli.inspection.stream import Floats
from gptcli.model.gpt import GPT, Block
from gptcli.system.answer import row_of
from gptcli.system.result import Result

# Tokens shown before and after the one with the largest activation.
BEFORE, AFTER = 20, 8
# Tokens that are read at a time, in windows next to each other.
_AT_ONCE = 2048
# The longest window.
_LONGEST = 1024


@dataclass(frozen=True)
class TokenActivation:
    """A token of a passage, and the neuron's activation there.

    Attributes:
        id: of the token.
        token: its bytes.
        activation: what the MLP's last matrix reads.
    """

    id: int
    token: bytes
    activation: float


@dataclass(frozen=True)
class NeuronPassage:
    """A passage around a token that excites a neuron.

    Attributes:
        position: of that token in the text, from 1.
        activation: there.
        peak: its index in ``tokens``, from 0.
        tokens: those around it.
    """

    position: int
    activation: float
    peak: int
    tokens: list[TokenActivation]


@dataclass(frozen=True)
class NeuronPassages(Result):
    """What excites a neuron in a text.

    Attributes:
        model: its name.
        source: the name of the text.
        neuron: the neuron, by its weights.
        window: tokens that the model sees at once.
        read: how many tokens of the text were judged.
        complete: whether these are all: an interrupted scan keeps what it has.
        largest: activation in the text; 0 where nothing was read.
        smallest: activation.
        mean: activation.
        positive: the share of tokens whose activation is above 0.
        passages: those with the largest activation that do not overlap, in order.
    """

    schema: ClassVar[str] = "gptcli.neurons.passages/1"

    model: str
    source: str
    neuron: Neuron
    window: int
    read: int
    complete: bool
    largest: float
    smallest: float
    mean: float
    positive: float
    passages: list[NeuronPassage]

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each token of each passage."""
        for number, passage in enumerate(self.passages, start=1):
            first = passage.position - passage.peak
            for place, token in enumerate(passage.tokens):
                yield {"passage": number, "position": first + place, "peak": place == passage.peak, **row_of(token)}


def find_passages(
    checkpoint: OpenCheckpoint,
    neuron: Neuron,
    batches: Iterable[Sequence[int]],
    source: str,
    *,
    top: int = 10,
    window: int | None = None,
    read: Callable[[int], None] = lambda size: None,
) -> NeuronPassages:
    """Find the passages of a text that excite a neuron most. Ctrl-C ends the search, and what was found is returned.

    Args:
        checkpoint: the model and its tokenizer.
        neuron: which.
        batches: the ids of the text, some at a time.
        source: the name of the text.
        top: how many passages.
        window: tokens that the model sees at once; None: the context, at most 1,024.
        read: called with the number of bytes of the text that were judged.

    Raises:
        InputError: the window does not fit, or the text has no tokens.
    """
    found, data, done = _Found(top), checkpoint.tokenizer.token_bytes, 0
    size = _window(checkpoint, window)
    complete = True
    try:
        for group in _side_by_side(windows(batches, size), max(_AT_ONCE // size, 1)):
            rows = [each.ids for each in group]
            activations = activations_of(checkpoint.model, neuron, rows, checkpoint.tokenizer.prefix_ids)
            for each, values in zip(group, activations, strict=True):
                found.add(each.first, each.ids, values, each.judged)
                done += sum(len(data(token)) for token in each.ids[each.judged.start : each.judged.stop])
            read(done)
    except KeyboardInterrupt:
        if not found.count:
            raise
        complete = False
    if not found.count:
        raise InputError(f"{source}: there is no token to read")
    return NeuronPassages(
        model=checkpoint.name,
        source=source,
        neuron=neuron,
        window=size,
        read=found.count,
        complete=complete,
        largest=found.largest,
        smallest=found.smallest,
        mean=found.total / found.count,
        positive=found.positive / found.count,
        passages=[
            NeuronPassage(
                position + 1,
                float(activations[peak]),
                peak,
                [TokenActivation(each, data(each), value) for each, value in zip(ids, activations, strict=True)],
            )
            for position, peak, ids, activations in found.best()
        ],
    )


def _window(checkpoint: OpenCheckpoint, asked: int | None) -> int:
    """Tokens of the text in a window; those that the tokenizer puts before every text come on top."""
    prefix = len(checkpoint.tokenizer.prefix_ids)
    most = checkpoint.config.n_positions - prefix
    size = min(most, _LONGEST) if asked is None else asked
    if not 1 <= size <= most:
        raise InputError(f"--window {size:,}: the model's context holds 1 to {most:,} tokens of a text")
    return size


class _Window(NamedTuple):
    """A part of the text that is read at once.

    Attributes:
        first: position of its first token, from 0.
        ids: its tokens.
        judged: which of them count here, and not in the window before or behind.
    """

    first: int
    ids: Sequence[int]
    judged: range


def windows(batches: Iterable[Sequence[int]], size: int) -> Iterator[_Window]:
    """The windows of a text. A token has a quarter of a window before it, and ``AFTER`` tokens behind for the picture.

    Args:
        batches: the ids of the text, some at a time.
        size: tokens of a window.
    """
    lead, tail = size // 4, min(AFTER, size // 4)
    step = size - lead - tail
    held: list[int] = []
    first = judged = 0
    for ids in batches:
        held += ids
        while len(held) >= size:
            yield _Window(first, held[:size], range(judged - first, size - tail))
            judged = first + size - tail
            del held[:step]
            first += step
    if judged < first + len(held):
        yield _Window(first, held, range(judged - first, len(held)))


def _side_by_side(several: Iterable[_Window], most: int) -> Iterator[list[_Window]]:
    """Windows of one length that are read together."""
    group: list[_Window] = []
    for window in several:
        if len(group) == most or (group and len(group[0].ids) != len(window.ids)):
            yield group
            group = []
        group.append(window)
    if group:
        yield group


class _Enough(Exception):  # no error: the layers behind the neuron's need not run
    pass


@torch.inference_mode()
def activations_of(model: GPT, neuron: Neuron, rows: Sequence[Sequence[int]], prefix: Sequence[int]) -> Floats:
    """A neuron's activation at each token of some texts of one length: [rows, T] in float32.

    Args:
        model: runs only up to the neuron's layer.
        neuron: which.
        rows: ids of each text.
        prefix: ids that stand before each, whose activations are left out.
    """
    block = model.h[neuron.layer - 1]
    assert isinstance(block, Block)
    seen: list[Tensor] = []

    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0][..., neuron.neuron - 1].float().cpu())
        raise _Enough

    handle = block.mlp.c_proj.register_forward_pre_hook(hook)
    try:
        model.transform(torch.tensor([[*prefix, *row] for row in rows], device=model.wte.weight.device))
    except _Enough:
        pass
    finally:
        handle.remove()
    return np.asarray(seen[0][:, len(prefix) :].numpy())


class _Found:
    """The best tokens so far, with what stands around them.

    Of passages that may not overlap, the first ``top`` are among the best ``top * (2 * reach + 1)`` tokens: each one
    that was taken keeps at most ``2 * reach`` others from being taken. So many are kept, and the answer is exact.

    Args:
        top: passages.
    """

    def __init__(self, top: int) -> None:
        self._top, self._reach = top, BEFORE + AFTER
        self._kept: list[tuple[float, int, int, list[int], list[float]]] = []
        self.count, self.positive, self.total = 0, 0, 0.0
        self.largest, self.smallest = -np.inf, np.inf

    def add(self, first: int, ids: Sequence[int], activations: Floats, judged: range) -> None:
        """Take the judged tokens of a window whose first token is at a position."""
        values = activations[judged.start : judged.stop]
        if not len(values):
            return
        self.count += len(values)
        self.positive += int(np.count_nonzero(values > 0))
        self.total += float(values.sum(dtype=np.float64))
        self.largest, self.smallest = max(self.largest, float(values.max())), min(self.smallest, float(values.min()))
        most = self._top * (2 * self._reach + 1)
        least = self._kept[-1][0] if len(self._kept) >= most else -np.inf
        for place in (np.flatnonzero(values > least) + judged.start).tolist():
            start = max(place - BEFORE, 0)
            around = slice(start, place + AFTER + 1)
            self._kept.append(
                (
                    float(activations[place]),
                    first + place,
                    place - start,
                    list(ids[around]),
                    activations[around].tolist(),
                )
            )
        self._kept.sort(key=lambda each: (-each[0], each[1]))
        del self._kept[most:]

    def best(self) -> Iterator[tuple[int, int, list[int], list[float]]]:
        """The passages that do not overlap, the best first: position, index of the peak, ids and activations."""
        taken: list[int] = []
        for _, position, peak, ids, activations in self._kept:
            if len(taken) < self._top and all(abs(position - other) > self._reach for other in taken):
                taken.append(position)
                yield position, peak, ids, activations
