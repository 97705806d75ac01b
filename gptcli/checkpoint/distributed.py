"""A checkpoint opened by all processes of torchrun, each of which reads only its part of the files."""

from dataclasses import replace

from gptcli.checkpoint.open import OpenCheckpoint, open_checkpoint
from gptcli.checkpoint.source import find
from gptcli.checkpoint.weights.placement import Placement
from gptcli.errors import InputError
from gptcli.model import ranks


def open_shared(
    name: str, placement: Placement, n_head: int | None = None, tokenizer: str | None = None
) -> OpenCheckpoint:
    """Like ``open_checkpoint`` to run; under torchrun every process calls this, and each gets its part of the model.

    Args:
        name, placement, n_head, tokenizer: see ``open_checkpoint``; the group is found out here.

    Raises:
        GptcliError: as ``open_checkpoint``; or the model does not divide by the processes, or one of them failed.
    """
    if ranks.world_size() == 1:
        return open_checkpoint(name, placement, n_head, inside=False, tokenizer=tokenizer)
    if placement.quantize != "none":
        raise InputError("--quantize works in one process only: leave it out, or torchrun")

    from gptcli.checkpoint.weights.torch_loader import choose_device
    from gptcli.model.parallel import join

    group = join(choose_device(placement.device))
    with group.agreement():
        if group.leads:  # downloads if needed; the others find it in the cache
            find(name)
    with group.agreement():
        return open_checkpoint(name, replace(placement, group=group), n_head, tokenizer=tokenizer)


def follow(name: str, placement: Placement, n_head: int | None = None, tokenizer: str | None = None) -> None:
    """Be one of the processes that only compute what the first asks for, until it ends."""
    opened = open_shared(name, placement, n_head, tokenizer)
    assert opened.placement.group is not None, "only a process after the first follows"
    opened.placement.group.follow(opened.model)
