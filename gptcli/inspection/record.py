"""One run of the model, with the activations at named points recorded by hooks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gptcli.checkpoint.open import Changes
from gptcli.model.attention import Attend, repeat_heads
from gptcli.model.gpt import GPT, Block
from gptcli.probability.reading import check_fits


@dataclass
class LayerRecord:
    """The activations of one layer. T positions, C width, H heads, D head size; in the model's dtype.

    Attributes:
        before: the residual stream that the block reads, [T, C].
        normed: what attention reads, [T, C].
        q, k, v: queries, keys and values, [H, T, D]; queries and keys rotated where the model rotates them. Keys and
            values that several query heads share stand there once for each.
        scale: what the scores q k^T are multiplied with.
        cap: c, where scores s become c tanh(s / c); None where they do not.
        bias: what is added to the scores by position, [H, T, T]; None where nothing is.
        seen: True where a query (row) may look at a key (column), [T, T].
        heads: what each head gathered, before the output projection, [H, T, D].
        projected: what attention's output projection gives, [T, C].
        attention: what attention adds to the residual stream, which may be normed and scaled on the way, [T, C].
        mlp_in: what the MLP reads, [T, C].
        up: what the MLP's first layer gives, [T, 4C].
        gate: what its gate gives before the activation, [T, 4C]; None where it has none.
        activated: what its last layer reads, [T, 4C].
        down: what its last layer gives, [T, C].
        mlp: what the MLP adds to the residual stream, [T, C].
        after: the residual stream behind the block, [T, C].
    """

    before: Tensor = field(init=False)
    normed: Tensor = field(init=False)
    q: Tensor = field(init=False)
    k: Tensor = field(init=False)
    v: Tensor = field(init=False)
    scale: float = field(init=False)
    cap: float | None = field(init=False)
    bias: Tensor | None = field(init=False)
    seen: Tensor = field(init=False)
    heads: Tensor = field(init=False)
    projected: Tensor = field(init=False)
    attention: Tensor = field(init=False)
    mlp_in: Tensor = field(init=False)
    up: Tensor = field(init=False)
    gate: Tensor | None = field(init=False, default=None)
    activated: Tensor = field(init=False)
    down: Tensor = field(init=False)
    mlp: Tensor = field(init=False)
    after: Tensor = field(init=False)

    @property
    def compared(self) -> Tensor:
        """The products of queries and keys, scaled, [H, T, T] in float32."""
        return self.q.float() @ self.k.float().mT * self.scale

    @property
    def capped(self) -> Tensor:
        """The same behind the cap, where there is one."""
        return self.compared if self.cap is None else torch.tanh(self.compared / self.cap) * self.cap

    @property
    def sloped(self) -> Tensor:
        """The same with what is added by position, where something is."""
        return self.capped if self.bias is None else self.capped + self.bias

    @property
    def scores(self) -> Tensor:
        """What stands before the softmax, [H, T, T] in float32; -inf where the mask is."""
        return self.sloped.masked_fill(~self.seen, -torch.inf)

    @property
    def pattern(self) -> Tensor:
        """The attention weights, [H, T, T] in float32; each row (a query) sums to 1 (Vaswani et al. 2017, eq. 1)."""
        return self.scores.softmax(-1)


@dataclass(frozen=True)
class Record:
    """The activations of the model for one text.

    Attributes:
        ids: the text's tokens.
        embedded: the residual stream before the first layer, [T, C].
        layers: one entry for each.
        changed: whether there were interventions.
    """

    ids: list[int]
    embedded: Tensor
    layers: list[LayerRecord]
    changed: bool = False

    @property
    def stream(self) -> Tensor:
        """The residual stream before the first layer and after each: [L + 1, T, C]."""
        return torch.stack([self.embedded, *(layer.after for layer in self.layers)])


@torch.inference_mode()
def record(model: GPT, ids: Sequence[int], changes: Changes | None = None) -> Record:
    """Run the model on a text and record the activations at every named point.

    That is some 20 T C numbers for each layer; for long texts use ``probability.reading``.

    Args:
        model: in eval mode.
        ids: the text, at most the context long.
        changes: what is changed in this run, and recorded as changed; None: nothing.

    Raises:
        InputError: there is no token, or more than the context holds; or the text lacks what the changes name.
    """
    check_fits(ids, model.config.n_positions)
    layers = [LayerRecord() for _ in model.h]
    with ExitStack() as hooks:
        if changes is not None:
            hooks.enter_context(changes.on_text(model, ids))
        for block, layer in zip(model.h, layers, strict=True):
            assert isinstance(block, Block)
            hooks.enter_context(_watching(block, layer))
        last = model.transform(token_batch(model, ids))[0]
    return Record(list(ids), layers[0].before if layers else last, layers, changes is not None)


def token_batch(model: GPT, ids: Sequence[int]) -> Tensor:
    """[1, T] on the model's device, or an error that names both lengths."""
    check_fits(ids, model.config.n_positions)
    return torch.tensor([list(ids)], device=model.wte.weight.device)


@contextmanager
def _watching(block: Block, layer: LayerRecord) -> Iterator[None]:
    """Hooks on the named points of a block, for as long as the context lasts."""
    attn, mlp, attend = block.attn, block.mlp, block.attn.attend

    def saw_added(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, inputs, output: setattr(layer, name, block.scaled(output)[0])

    def saw_attend(module: nn.Module, inputs: tuple[Tensor, Tensor, Tensor, Tensor | None], mixed: Tensor) -> None:
        q, k, v, mask = inputs
        layer.q, layer.heads = q[0], mixed[0]
        layer.k, layer.v = repeat_heads(k[0], len(layer.q)), repeat_heads(v[0], len(layer.q))
        assert isinstance(module, Attend)
        layer.scale, layer.cap, layer.bias = module.scale, module.cap, None
        length = q.shape[2]
        plain = torch.ones(length, length, dtype=torch.bool, device=q.device).tril()
        layer.seen = plain if mask is None else mask[0, 0]
        if mask is not None and mask.dtype != torch.bool:
            layer.seen = mask[0, 0] > -torch.inf
            layer.bias = mask[0].float().masked_fill(~layer.seen, 0)

    handles = [
        block.register_forward_hook(_pair(layer, "before", "after")),
        attn.register_forward_hook(_pair(layer, "normed", "projected")),
        block.ln_1_out.register_forward_hook(saw_added("attention")),
        block.ln_2_out.register_forward_hook(saw_added("mlp")),
        attend.register_forward_hook(saw_attend),
        mlp.register_forward_hook(_pair(layer, "mlp_in", "down")),
        mlp.c_fc.register_forward_hook(_pair(layer, None, "up")),
        mlp.c_proj.register_forward_hook(_pair(layer, "activated", None)),
    ]
    if mlp.c_gate is not None:
        handles.append(mlp.c_gate.register_forward_hook(_pair(layer, None, "gate")))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pair(layer: LayerRecord, into: str | None, out: str | None) -> Callable[[nn.Module, Any, Tensor], None]:
    """A hook that records a module's first input and its output, without the batch dimension."""

    def saw(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if into is not None:
            setattr(layer, into, inputs[0][0])
        if out is not None:
            setattr(layer, out, output[0])

    return saw
