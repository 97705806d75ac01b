"""A checkpoint opened by all the processes that torchrun started, each reading only its part of the files."""

from gptcli.checkpoint.open import Checkpoint, open_checkpoint
from gptcli.checkpoint.source import find
from gptcli.errors import InputError
from gptcli.model import ranks
from gptcli.model.engine import Quantize


def open_shared(
    name: str, *, device: str = "auto", dtype: str = "auto", n_head: int | None = None, quantize: Quantize = "none"
) -> Checkpoint:
    """Like ``open_checkpoint`` to run; under torchrun every process calls this, and each gets its part of the model.

    Args:
        name, device, dtype, n_head, quantize: see ``open_checkpoint``.

    Raises:
        GptcliError: as ``open_checkpoint``; or the model does not divide by the processes, or one of them failed.
    """
    if ranks.world_size() == 1:
        return open_checkpoint(name, device=device, dtype=dtype, n_head=n_head, quantize=quantize, to="run")
    if quantize != "none":
        raise InputError("--quantize works in one process only: leave it out, or torchrun")

    from gptcli.checkpoint.weights.torch_loader import choose_device
    from gptcli.model.parallel import join

    group = join(choose_device(device))
    with group.agreement():
        if group.leads:  # downloads where it has to; the others find it in the cache
            find(name)
    with group.agreement():
        checkpoint = open_checkpoint(name, device=device, dtype=dtype, n_head=n_head, group=group)
    return checkpoint


def follow(name: str, *, device: str = "auto", dtype: str = "auto", n_head: int | None = None) -> None:
    """Be one of the processes that ``ranks.follows`` tells from the first: compute with it until it ends."""
    checkpoint = open_shared(name, device=device, dtype=dtype, n_head=n_head)
    assert checkpoint.group is not None, "only a process beside the first follows"
    checkpoint.group.follow(checkpoint.model)
