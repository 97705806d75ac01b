"""The choice of what runs the changed runs of ``variants``."""

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.inspection.variants import Runs


def runs_of(checkpoint: OpenCheckpoint) -> Runs:
    """The engine in C, where it is what runs this checkpoint; else the PyTorch model."""
    engine = checkpoint.native
    if engine is not None:
        from gptcli.inspection.variants_native import NativeRuns

        return NativeRuns(engine)
    from gptcli.inspection.variants_torch import TorchRuns

    return TorchRuns(checkpoint.model)
