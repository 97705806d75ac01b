"""Argument checks of engines: each function raises IndexError where an index is out of range.

Engines call these before they compute or change anything. Without them, PyTorch would find some of the errors halfway
through, a GPU would fail beyond recovery, and C would read out of bounds.

In all functions: ``lengths`` are the positions filled in each row of the batch, ``capacity`` is the most that a row can
hold, and ``size`` is the size of the vocabulary.
"""

from collections.abc import Sequence


def check_prefill(rows: Sequence[Sequence[int]], capacity: int, n_positions: int, size: int) -> None:
    """Check that a batch can start with these prompts (see ``Engine.prefill``)."""
    if not 1 <= capacity <= n_positions:
        raise IndexError(f"a capacity of {capacity} positions, where the context has {n_positions}")
    if not rows:
        raise IndexError("a batch without rows")
    for ids in rows:
        _check_some(ids)
        _check_ids(ids, size)
        _check_room(len(ids), capacity)


def check_step(ids: Sequence[int], lengths: Sequence[int], capacity: int, size: int) -> None:
    """Check that each row can read one of these ids (see ``Engine.step``)."""
    if len(ids) != len(lengths) or not lengths:
        raise IndexError(f"{len(ids)} ids for {len(lengths)} rows")
    _check_room(max(lengths) + 1, capacity)
    _check_ids(ids, size)


def check_extend(ids: Sequence[int], lengths: Sequence[int], capacity: int, size: int) -> None:
    """Check that the only row can read all of these ids (see ``Engine.extend``)."""
    _check_one(lengths)
    _check_some(ids)
    _check_room(lengths[0] + len(ids), capacity)
    _check_ids(ids, size)


def check_rewind(count: int, lengths: Sequence[int]) -> None:
    """Check that the only row has at least ``count`` tokens (see ``Engine.rewind``)."""
    _check_one(lengths)
    if not 0 <= count <= lengths[0]:
        raise IndexError(f"{count} tokens to forget, in a row of {lengths[0]}")


def check_refill(row: int, ids: Sequence[int], lengths: Sequence[int], capacity: int, size: int) -> None:
    """Check that a row can be replaced by these ids (see ``Engine.refill``)."""
    check_select([row], lengths)
    _check_room(len(ids), capacity)
    if len(ids):
        _check_ids(ids, size)


def check_select(rows: Sequence[int], lengths: Sequence[int]) -> None:
    """Check that all of these rows exist (see ``Engine.select``)."""
    for row in rows:
        if not 0 <= row < len(lengths):
            raise IndexError(f"row {row} of a batch that has {len(lengths)}")


def _check_one(lengths: Sequence[int]) -> None:
    if len(lengths) != 1:
        raise IndexError(f"a batch of {len(lengths)} rows, where this takes one")


def _check_some(ids: Sequence[int]) -> None:
    if not len(ids):
        raise IndexError("a row without ids")


def _check_room(end: int, capacity: int) -> None:
    if end > capacity:
        raise IndexError(f"position {end - 1} of a row that may grow to {capacity}")


def _check_ids(ids: Sequence[int], size: int) -> None:
    if min(ids) < 0 or max(ids) >= size:
        wrong = next(token for token in ids if not 0 <= token < size)
        raise IndexError(f"token {wrong} of a vocabulary that has {size}")
