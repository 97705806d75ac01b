"""From a folder to a GPT that runs: tensors are memory-mapped and converted one by one."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gptcli.checkpoint.families import Blueprint, Part
from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.weights.faults import not_finite, too_large
from gptcli.checkpoint.weights.finite import all_finite
from gptcli.checkpoint.weights.placement import Placement
from gptcli.checkpoint.weights.slices import Files
from gptcli.errors import InputError
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.model.memory import explain_out_of_memory
from gptcli.model.quantize import fake_quantize, kind_of
from gptcli.model.shapes import is_matrix


def choose_device(name: str) -> torch.device:
    """The device of that name; ``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: the machine has no such device.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, available in there.items() if available))
    if not there[name]:
        found = ", ".join(kind for kind, available in there.items() if available)
        raise InputError(f"--device {name}: torch finds no such device here (it finds: {found})")
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The precision of that name; ``auto`` is bfloat16 on a GPU that has it, float32 elsewhere."""
    if name != "auto":
        chosen = getattr(torch, name)
        assert isinstance(chosen, torch.dtype)
        return chosen
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32


def load_gpt(
    blueprint: Blueprint,
    header: Header,
    placement: Placement,
    *,
    to_run: bool = False,
) -> GPT:
    """Build the GPT that a blueprint describes and give it the checkpoint's weights.

    The file is memory-mapped: weights that already have the wanted type stay in the file's pages, others are
    converted one at a time, and tensors that are not in the blueprint are never read.

    Args:
        blueprint: checked against the header by ``read_blueprint``.
        header: of the same checkpoint.
        placement: where and how the model is to run. A process of a group loads its part only. For 8 or 4 bits,
            matrices are rounded to the values that they have then, which shows the effect on the model; only the
            engine in C also gets smaller and faster.
        to_run: whether the command has ``--quantize``, for the error about memory.

    Returns:
        The GPT in eval mode.

    Raises:
        CheckpointError: a file cannot be read or changed meanwhile, or a weight holds NaN or infinity.
        InputError: the device is not there, or a weight is too large for the precision.
        GptcliError: there is not enough memory.
    """
    group, quantize = placement.group, placement.quantize
    device = choose_device(placement.device) if group is None else group.device
    dtype = choose_dtype(placement.dtype, device)
    with torch.device("meta"), _NoDraws():
        model = GPT(blueprint.config if group is None else group.divided(blueprint.config))
    if group is not None:
        group.shard(model)
    wanted = model.state_dict()
    name_of_dtype = str(dtype).removeprefix("torch.")
    with (
        torch.inference_mode(False),
        explain_out_of_memory(blueprint.config, device.type, name_of_dtype, to_run=to_run),
    ):
        config, files = blueprint.config, Files(header, dtype, blueprint.config.qkv_widths, blueprint.scales)
        weights: dict[str, Tensor] = {}
        for name, part in blueprint.tensors.items():
            share = None if group is None else group.share(config, name, wanted[name])
            stored = [files.read(part, key, share) for key in part.keys]
            weights[name] = _make(part, stored, config).to(device=device, dtype=dtype)
            _check_finite(name, part, stored, weights[name])
            if quantize != "none" and is_matrix(name, weights[name].shape):
                rounded = fake_quantize(weights[name].float().cpu().numpy(), kind_of(name, quantize))
                weights[name] = torch.from_numpy(rounded).to(device=device, dtype=dtype)
    header.check_unchanged()
    if group is not None:
        weights = {name: group.place(wanted[name], weight) for name, weight in weights.items()}
    _assign(model, weights)
    return model.eval().requires_grad_(False)


class _NoDraws(TorchFunctionMode):
    """Skips torch's random initialisation: on the meta device it does nothing, but imports torch's compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def _make(part: Part, stored: list[Tensor], config: GPTConfig) -> Tensor:
    """Make one of our tensors from those of the file (see ``How``)."""
    if part.how == "transposed":
        return stored[0].t()
    if part.how == "stacked":
        return torch.cat(stored)
    if part.how == "rows":
        return torch.stack(stored)
    if part.how == "regrouped":
        group = [width // config.kv_heads for width in config.qkv_widths]
        if stored[0].shape[0] < sum(group):
            return stored[0]  # a process's part of one group is cut in our order
        by_group = stored[0].reshape(-1, sum(group), *stored[0].shape[1:])  # [K, rows of q, k and v, ...]
        return torch.cat([matrix.flatten(0, 1) for matrix in torch.split(by_group, group, dim=1)])
    return stored[0]


def _check_finite(name: str, part: Part, stored: list[Tensor], weight: Tensor) -> None:
    """Raise for NaN and infinity, which would reach every logit."""
    if all_finite(weight):
        return
    if all(all_finite(tensor) for tensor in stored):
        raise too_large(name, part, str(weight.dtype).removeprefix("torch."))
    raise not_finite(name, part)


def _assign(model: GPT, weights: Mapping[str, Tensor]) -> None:
    """Replace the meta tensors by the weights; a tied unembedding shares the embedding."""
    complete = {**weights, "lm_head.weight": weights["wte.weight"]} if model.config.tied else weights
    model.load_state_dict(complete, strict=True, assign=True)
    if model.config.tied:
        model.lm_head.weight = model.wte.weight
