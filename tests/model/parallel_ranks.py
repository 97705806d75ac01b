"""What test_parallel runs in each of torchrun's processes: checkpoints opened together, and what rank 0 gets."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gptcli.checkpoint.families import read_blueprint
from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.source import find
from gptcli.checkpoint.weights.placement import Placement
from gptcli.checkpoint.weights.torch_loader import load_gpt
from gptcli.generation.loop import Limits, generate, new_samples
from gptcli.model.engine import Engine
from gptcli.sampling.settings import Sampling

LONG, SHORT = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7], [2, 7, 1, 8]


def drive(engine: Engine) -> dict[str, Any]:
    """Everything that generation asks of an engine: logits, greedy ids and drawn ids."""
    logits = [engine.prefill([LONG, SHORT], capacity=24), engine.step([11, 12])]
    engine.select([1, 0, 1])
    logits.append(engine.step([13, 14, 15]))
    engine.refill(2, [5, 6, 7])
    logits.append(engine.step([16, 17, 18]))
    ids = []
    for temperature in (0.0, 1.0):
        samples = new_samples([LONG, SHORT], 2)
        list(generate(engine, samples, Sampling(temperature=temperature, top_k=0), Limits(6), seed=7))
        ids.append([sample.ids for sample in samples])
    return {"logits": np.concatenate(logits).tolist(), "ids": ids}


def main(folders: list[str]) -> None:
    """Open each folder with the others; every process writes ``rank-R.json`` into it."""
    from gptcli.model.parallel import join, local_bytes

    group = join(torch.device("cpu"))
    for folder in folders:
        source = find(folder)
        assert source.weights is not None
        header = read_header(source.weights)
        model = load_gpt(read_blueprint(source, header), header, Placement("cpu", "float32", group=group))
        report: dict[str, Any] = {"bytes": local_bytes(model)}
        if group.leads:
            engine = group.engine(model)
            report |= drive(engine)
            engine.end()
        else:
            group.follow(model)
        (Path(folder) / f"rank-{group.rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1:])
