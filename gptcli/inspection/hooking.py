"""The hooks that make the changes of ``interventions`` while a model runs.

``applied`` puts the hooks in place for as long as a run lasts. Attention is held as it was by ``watched_attention`` in
one run and ``given_weights`` in another.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gptcli.inspection.changed_rows import Floats, Row, bound
from gptcli.inspection.places import Point
from gptcli.inspection.points import See, capture, seeing
from gptcli.model.cache import KeyValueCache
from gptcli.model.gpt import GPT

if TYPE_CHECKING:
    from gptcli.inspection.interventions import Change, Interventions


def means(model: GPT, ids: Sequence[int], points: Sequence[Point]) -> dict[Point, Tensor]:
    """The mean of what stands at some points over the positions of a text, [...] each.

    A text that is longer than the context is read in parts.
    """
    if not points:
        return {}
    size = model.config.n_positions
    sums: dict[Point, Tensor] = {}
    for start in range(0, len(ids), size):
        for point, value in capture(model, ids[start : start + size], points).items():
            sums[point] = sums.get(point, torch.zeros_like(value[0], dtype=torch.float32)) + value.float().sum(0)
    return {point: total / len(ids) for point, total in sums.items()}


@dataclass
class _Where:
    """What the current call of the model reads: which rows, and which positions of their texts, [B, T]."""

    rows: list[Row] = field(default_factory=list)
    positions: Tensor = field(default_factory=lambda: torch.empty(0))


@contextmanager
def applied(
    model: GPT,
    interventions: "Interventions",
    rows: Sequence[Row],
    weights: "Iterator[tuple[Tensor, Tensor]] | None" = None,
) -> Iterator[None]:
    """Run the model with the changes, for as long as the context lasts.

    Args:
        model: its modules get hooks.
        interventions: the changes.
        rows: the texts of the batch.
        weights: the queries and keys of the run without the changes, call by call (``watched_attention``); the
            attention weights are then made of these.
    """
    where = _Where()

    def enter(module: Any, inputs: tuple[Any, ...]) -> None:
        x: Tensor = inputs[0]
        cache: KeyValueCache | None = inputs[2]
        where.rows = [rows[row] for row in (cache.rows if cache is not None else [0])]
        past = cache.lengths if cache is not None else [0]
        first = torch.tensor([row.start + length for row, length in zip(where.rows, past, strict=True)])
        where.positions = first.to(x.device)[:, None] + torch.arange(x.shape[1], device=x.device)

    def seen(index: int, change: "Change") -> See:
        return lambda old: _changed(change, index, old, where)

    points = [(change.point, seen(index, change)) for index, change in enumerate(interventions.changes)]
    with ExitStack() as stack:
        if model.h:
            stack.callback(model.h[0].register_forward_pre_hook(enter).remove)
        if weights is not None:
            stack.enter_context(given_weights(model, weights))
        stack.enter_context(seeing(model, points))
        yield


def _changed(change: "Change", index: int, old: Tensor, where: _Where) -> Tensor:
    """What takes the place of ``old`` [B, T, ...]."""
    part = old if change.members is None else old[:, :, list(change.members)]
    new = _new(change, index, part, where).to(old.dtype).expand_as(part)
    if change.positions is not None:
        each = [row.indices[index] for row in where.rows]
        mask = torch.stack(
            [
                torch.isin(at, torch.tensor(wanted, device=at.device))
                for at, wanted in zip(where.positions, each, strict=True)
                if wanted is not None
            ]
        )
        new = torch.where(mask.reshape(*mask.shape, *[1] * (part.dim() - 2)), new, part)
    if change.members is None:
        return new
    whole = old.clone()
    whole[:, :, list(change.members)] = new
    return whole


def _new(change: "Change", index: int, part: Tensor, where: _Where) -> Tensor:
    """The new values, which may have to be repeated for all rows and positions."""
    if change.how == "zero":
        return torch.zeros_like(part)
    members = ... if change.members is None else list(change.members)

    def there(value: Floats) -> Tensor:
        return torch.from_numpy(value).to(part.device)

    if change.how == "mean" and change.value is None:
        each = [row.means[index] for row in where.rows]
        return torch.stack([there(mean)[members] for mean in each if mean is not None]).unsqueeze(1)
    assert change.value is not None
    value = there(change.value)
    if change.how == "add":
        return part + value.to(part.dtype)
    if change.how == "mean":
        return value[members]
    value = value if change.members is None else value[:, members]
    return value[torch.from_numpy(change.at(where.positions.cpu().numpy())).to(part.device)]


@contextmanager
def watched_attention(model: GPT, seen: list[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Append the queries and keys of each attention that is computed: [B, H, T, D] and [B, K, S, D]."""

    def hook(module: Any, inputs: tuple[Any, ...]) -> None:
        seen.append((inputs[0], inputs[1]))

    with _before_attention(model, hook):
        yield


@contextmanager
def given_weights(model: GPT, weights: Iterator[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Have each attention that is computed take the next of these queries and keys instead of its own."""

    def hook(module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*next(weights), *inputs[2:])

    with _before_attention(model, hook):
        yield


@contextmanager
def _before_attention(model: GPT, hook: Callable[[Any, tuple[Any, ...]], Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for block in model.h:
            stack.callback(block.get_submodule("attn.attend").register_forward_pre_hook(hook).remove)
        yield


@contextmanager
def on_text(model: GPT, interventions: "Interventions", ids: Sequence[int]) -> Iterator[None]:
    """Run the model on one text, once, with the changes (see ``Interventions.on_text``)."""
    row = bound(interventions, ids, partial(means, model))
    seen: list[tuple[Tensor, Tensor]] = []
    if interventions.frozen:
        with watched_attention(model, seen), torch.inference_mode():
            model.transform(torch.tensor([list(ids)], device=model.wte.weight.device))
    with applied(model, interventions, [row], iter(seen) if interventions.frozen else None):
        yield
