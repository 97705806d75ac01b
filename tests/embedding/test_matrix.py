"""Matrices that stay in their file."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gptcli.checkpoint.header import TensorInfo
from gptcli.checkpoint.shards import read_header
from gptcli.embedding import matrix as room
from gptcli.embedding.matrix import Matrix, map_matrix
from gptcli.embedding.metric import Metric
from gptcli.embedding.vectors import scores
from gptcli.errors import CheckpointError


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_float_type_reads_as_torch_does(dtype: torch.dtype, tmp_path: Path) -> None:
    stored = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    save_file({"before": torch.zeros(3), "wte": stored}, tmp_path / "m.safetensors")
    matrix = map_matrix(read_header(tmp_path / "m.safetensors").tensors["wte"])
    expected = stored.to(torch.float32).numpy()
    assert matrix.shape == (9, 4)
    assert np.array_equal(matrix.take([3, 0, 3]), expected[[3, 0, 3]])
    assert np.array_equal(np.concatenate([chunk for _, chunk in matrix.chunks()]), expected)


def test_chunks_cover_the_rows_once() -> None:
    rows = np.arange(22, dtype=np.float32).reshape(11, 2)
    chunks = list(Matrix(rows, chunk_bytes=3 * 2 * 4).chunks(8))
    assert [start for start, _ in chunks] == [0, 3, 6]
    assert np.array_equal(np.concatenate([chunk for _, chunk in chunks]), rows[:8])


@pytest.mark.parametrize("threads", [1, 2, 3, 50])
def test_on_all_cores_as_on_one(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).standard_normal((41, 3), np.float32)
    monkeypatch.setattr(room, "_MANY", 1)
    monkeypatch.setattr(room, "default_threads", lambda: threads)
    matrix = Matrix(rows, chunk_bytes=4 * 3 * 4)
    assert np.array_equal(matrix.each(lambda first, chunk: chunk[:, 0] + first * 0, 40), rows[:40, 0])
    assert matrix.lengths(7) == pytest.approx(np.linalg.norm(rows[:7], axis=1), abs=1e-6)
    assert matrix.lengths() == pytest.approx(np.linalg.norm(rows, axis=1), abs=1e-6)
    assert np.array_equal(matrix.lengths(7), matrix.lengths()[:7])


@pytest.mark.parametrize(
    ("tensor", "fault"),
    [
        (torch.zeros(4), "its shape is"),
        (torch.zeros(0, 4), "its shape is"),
        (torch.zeros(4, 4, dtype=torch.int8), "is I8"),
    ],
)
def test_what_is_no_embedding(tensor: torch.Tensor, fault: str, tmp_path: Path) -> None:
    save_file({"wte": tensor}, tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=fault):
        map_matrix(read_header(tmp_path / "m.safetensors").tensors["wte"])


def test_an_embedding_of_gpt3s_size_takes_little_memory(tmp_path: Path) -> None:
    """50,257 x 12,288 in float16 are 1.2 GB; the file is sparse, but for its last row."""
    n, d = 50_257, 12_288
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.seek((n - 1) * d * 2)
        file.write(np.full(d, 0.5, "<f2").tobytes())
    matrix = map_matrix(TensorInfo("wte", "F16", (n, d), path, 0, n * d * 2))
    tracemalloc.start()
    found = scores(matrix, np.ones(d), Metric.cosine)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 12,288 like terms summed in float32: the tolerance that holds for all cosines here.
    assert found[-1] == pytest.approx(1.0, abs=1e-4)
    assert not found[:-1].any()
    assert peak < 32e6
