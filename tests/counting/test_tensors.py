"""What the files hold: sorted into parameters, buffers and repetitions."""

from collections import Counter
from pathlib import Path

import pytest

from gptcli.checkpoint.files.header import Header, TensorInfo
from gptcli.counting.tensors import TensorGroup, group, stored


def info(name: str, *shape: int, dtype: str = "F32", size: int = 4) -> TensorInfo:
    count = 1
    for number in shape:
        count *= number
    return TensorInfo(name, dtype, shape, Path("x.safetensors"), 0, size * count)


TENSORS = (
    info("wte.weight", 10, 4, dtype="F16", size=2),
    info("h.0.attn.bias", 1, 1, 3, 3),
    info("h.0.ln_1.weight", 4),
    info("h.1.attn.bias", 1, 1, 3, 3),
    info("h.1.ln_1.weight", 4),
    info("lm_head.weight", 10, 4, dtype="F16", size=2),
)
HEADER = Header({tensor.name: tensor for tensor in TENSORS}, {}, (Path("x.safetensors"),))


def test_parameters_are_what_is_left_without_buffers_and_repetitions() -> None:
    held = stored(HEADER, ("h.0.attn.bias", "h.1.attn.bias", "lm_head.weight"), expected=50)
    assert (held.n_tensors, held.count, held.nbytes) == (6, 106, 40 * 2 * 2 + 26 * 4)
    assert held.dtypes == {"F16": 80, "F32": 26}
    assert held.buffers == (TensorGroup("h.*.attn.bias", "F32", (1, 1, 3, 3), 2, 18, 72),)
    assert held.duplicates == (TensorGroup("lm_head.weight", "F16", (10, 4), 1, 40, 80),)
    assert (held.parameters, held.difference) == (48, -2)


def test_without_a_configuration_everything_counts() -> None:
    held = stored(HEADER)
    assert (held.parameters, held.difference) == (106, None)
    assert held.buffers == held.duplicates == ()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["h.0.w", "h.10.w"], ["h.*.w"]),
        (["a.0.b.0.w", "a.0.b.1.w"], ["a.*.b.*.w"]),
        (["blocks.7.w"], ["blocks.7.w"]),
        (["0", "1"], ["*"]),
        (["w1", "w2"], ["w1", "w2"]),
        (["h.0.w", "h.0.v", "h.1.w"], ["h.*.w", "h.0.v"]),
    ],
)
def test_numbers_between_dots_are_layers(names: list[str], expected: list[str]) -> None:
    assert [kind.name for kind in group([info(name, 2) for name in names], Counter(names))] == expected


def test_other_shapes_and_dtypes_are_other_kinds() -> None:
    tensors = [info("h.0.w", 2), info("h.1.w", 3), info("h.2.w", 2, dtype="I32"), info("h.3.w", 2)]
    kinds = group(tensors, {tensor.name: tensor.count for tensor in tensors})
    assert [(kind.name, kind.shape, kind.dtype, kind.n_tensors) for kind in kinds] == [
        ("h.*.w", (2,), "F32", 2),
        ("h.1.w", (3,), "F32", 1),
        ("h.2.w", (2,), "I32", 1),
    ]


def test_an_empty_file_holds_nothing() -> None:
    held = stored(Header({}, {}, ()))
    assert (held.n_tensors, held.count, held.parameters, held.groups) == (0, 0, 0, ())
