"""A checkpoint opened by all the processes that torchrun started, each reading only its part of the files."""

from gptcli.checkpoint.load import Checkpoint, choose_device, open_checkpoint
from gptcli.checkpoint.source import find
from gptcli.model import ranks


def open_shared(name: str, *, device: str = "auto", dtype: str = "auto", n_head: int | None = None) -> Checkpoint:
    """Like ``open_checkpoint``; under torchrun every process calls this, and each gets its part of the model.

    Args:
        name, device, dtype, n_head: see ``open_checkpoint``.

    Raises:
        GptcliError: as ``open_checkpoint``; or the model does not divide by the processes, or one of them failed.
    """
    if ranks.world_size() == 1:
        return open_checkpoint(name, device=device, dtype=dtype, n_head=n_head)

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
