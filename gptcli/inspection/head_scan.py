"""What ``gptcli head --all`` shows: all heads of a model by their weights, in figures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.read import Checkpoint
from gptcli.errors import InputError
from gptcli.inspection.circuits import Circuits, Distances, HeadWeights, by_distance, equal_tokens, own_ranks
from gptcli.inspection.head_label import HeadLabel
from gptcli.inspection.head_sample import Labels, check_distance, layers_alone, named_from, sample
from gptcli.inspection.stream import Floats, StreamWeights
from gptcli.system.result import Result


@dataclass(frozen=True)
class HeadFigures:
    """One head of a scan.

    Attributes:
        layer: from 1.
        head: from 1.
        copying_score: see ``Moves``.
        copied: see ``Moves``.
        matching_score: see ``Looks``.
        preferred: the distance at which it looks most by positions alone.
        preferred_share: of its attention, at that distance.
        label: as in ``HeadView``.
    """

    layer: int
    head: int
    copying_score: float
    copied: float
    matching_score: float
    preferred: int
    preferred_share: float
    label: HeadLabel | None


@dataclass(frozen=True)
class HeadScan(Result):
    """All heads of a model by their weights.

    Attributes:
        model: its name.
        n_layer: its layers.
        n_head: heads of each.
        sampled: as in ``HeadView``.
        n_vocab: as in ``HeadView``.
        through: as in ``HeadView``, for layers above.
        named_from: as in ``HeadView``.
        heads: by layer and head.
        complete: whether all are there: an interrupted scan keeps what it has.
    """

    schema: ClassVar[str] = "gptcli.head.all/1"
    table: ClassVar[str] = "heads"

    model: str
    n_layer: int
    n_head: int
    sampled: int
    n_vocab: int
    through: int
    named_from: float | None
    heads: list[HeadFigures]
    complete: bool


def scan_heads(
    checkpoint: Checkpoint,
    *,
    sampled: int = 200,
    distance: int = 1,
    through: int | None = None,
    labels: Labels | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> HeadScan:
    """All heads of a model by their weights. Ctrl-C ends the scan, and the heads so far are returned.

    Args:
        checkpoint, sampled, distance, through, labels: as for ``view_head``.
        progress: called with the number of heads that are done, and of all.
    """
    config, stream = checkpoint.config, StreamWeights(checkpoint)
    if not config.n_layer:
        raise InputError("this model has no heads")
    check_distance(distance, config)
    deepest = layers_alone(through, config.n_layer, config)
    ids = sample(stream, sampled)
    entered, found, named, complete = stream.embedded(ids), [], None, True
    try:
        named = labels() if labels is not None else None
        for circuits, ranks, distances in _each(stream, ids, entered, distance, deepest):
            layer, head = circuits.head.layer, circuits.head.head
            found.append(
                HeadFigures(
                    layer=layer + 1,
                    head=head + 1,
                    copying_score=circuits.copying_score(),
                    copied=float((ranks == 1).mean()),
                    matching_score=circuits.matching_score(),
                    preferred=distances.preferred,
                    preferred_share=distances.shares[distances.preferred],
                    label=None if named is None else named[layer][head],
                )
            )
            progress(len(found), config.n_layer * config.n_head)
    except KeyboardInterrupt:
        if not found:
            raise
        complete = False
    return HeadScan(
        model=checkpoint.name,
        n_layer=config.n_layer,
        n_head=config.n_head,
        sampled=len(ids),
        n_vocab=int(stream.used.sum()),
        through=deepest,
        named_from=named_from(named is not None),
        heads=found,
        complete=complete,
    )


def _each(
    stream: StreamWeights, ids: Sequence[int], entered: Floats, distance: int, deepest: int
) -> Iterator[tuple[Circuits, NDArray[np.int64], Distances]]:
    """Every head: its circuits, the ranks of tokens for themselves, and what positions do."""
    mean = entered.mean(0)
    for layer in range(stream.config.n_layer):
        through = min(deepest, layer)
        read = stream.read_by(layer, "attention", stream.alone(through, entered), through)
        heads = [HeadWeights(stream, layer, head) for head in range(stream.config.n_head)]
        circuits = [Circuits(stream, head, ids, read, distance) for head in heads]
        equal = equal_tokens(stream, layer, mean, through)
        for each, (ranks, _) in zip(circuits, own_ranks(circuits), strict=True):
            yield each, ranks, by_distance(stream, each.head, equal)
