"""Every kernel of every instruction set against its naive reference: exact for integers, else within some roundings."""

import ctypes
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gptcli.model.native import library
from gptcli.model.native.shape import ACTIVATIONS
from tests.native import reference
from tests.native.kernels import (
    KINDS,
    PROTOTYPES,
    AttentionJob,
    Kernels,
    PrefetchRange,
    Quantized,
    Stored,
    at,
    kernel_names,
    roomy,
)

pytestmark = pytest.mark.skipif(library.library() is None, reason="the engine in C was not built")
LEVELS = sorted({library.kernels(level): level for level in range(library.BEST + 1)}.values())
WITH_VNNI = [level for level in LEVELS if "vnni" in str(library.kernels(level))]
# Roundings of float32 that sums of some hundred products may differ by, of the sum of their magnitudes.
NEAR = 4e-7
Array = NDArray[Any]


def drawn(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def assert_near(found: Array, expected: Array, magnitudes: Array, *, within: float = NEAR) -> None:
    """No farther from each other than a share of what was added up."""
    worst = np.abs(found - expected) / np.maximum(magnitudes, 1e-30)
    assert worst.max() <= within, f"{worst.max():.2g} at {np.unravel_index(worst.argmax(), worst.shape)}"


def nothing() -> PrefetchRange:
    """What is prefetched: nothing that is read."""
    return PrefetchRange(at(np.zeros(64)), 0)


def test_every_kernel_has_a_reference() -> None:
    names = kernel_names(library.library())  # type: ignore[arg-type]
    assert sorted(names) == sorted(PROTOTYPES)
    assert [name for name in names if not callable(getattr(reference, name, None))] == []
    tests = {name for name in globals() if name.startswith("test_")}
    assert [name for name in names if f"test_{name}" not in tests] == []


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [32, 96, 1056, 2112, 7, 77, 1500])
def test_gemv(columns: int, kind: str, level: int) -> None:
    if kind == "int4" and columns % reference.GROUP:
        pytest.skip("rows of whole groups only")
    kernels = Kernels(level)
    weights = Stored.of(kernels, kind, drawn(1, 13, columns))
    worth = weights.values(kernels)
    for m in (1, 2, 3, 4, 5, 8):
        x = Quantized(kernels, kind, drawn(m, m, columns))
        y = np.full((m, 17), 99, np.float32)
        kernels.gemv(weights.c, 2, 13, x.c, m, at(y), 17, nothing())
        assert_near(y[:, 2:13], reference.gemv(worth, x.values)[:, 2:], np.abs(x.values) @ np.abs(worth.T[:, 2:]))
        assert (np.delete(y, range(2, 13), axis=1) == 99).all()


def whole_numbers(seed: int, rows: int, columns: int, kind: str) -> tuple[Array, Array]:
    """Weights of a scale of 1, and activations of one: sums that float32 holds exactly."""
    generator = np.random.default_rng(seed)
    x = generator.integers(-200, 201, (7, columns)).astype(np.float32)
    x[:, 3] = reference.ACT_MAX
    weights = generator.integers(-127, 128, (rows, columns)).astype(np.float32)
    weights[:, 0] = 127
    return weights, x


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("columns", [64, 77, 300])
def test_gemv_of_whole_numbers_is_exact(columns: int, level: int) -> None:
    kernels = Kernels(level)
    weights, x = whole_numbers(5, 9, columns, "int8")
    stored = Stored.of(kernels, "int8", weights)
    assert (stored.values(kernels) == weights).all()
    for m in (1, 3, 7):
        active = Quantized(kernels, "int8", x[:m])
        y = np.zeros((m, 9), np.float32)
        kernels.gemv(stored.c, 0, 9, active.c, m, at(y), 9, nothing())
        assert (y == reference.gemv(weights, x[:m])).all()


@pytest.mark.parametrize("level", LEVELS)
def test_the_largest_integers_do_not_overflow(level: int) -> None:
    kernels, columns = Kernels(level), 1024
    weights = Stored.of(kernels, "int8", np.full((kernels.nr, columns), -127, np.float32))
    x = np.full((kernels.mr, columns), reference.ACT_MAX, np.float32)
    expected = np.float32(-127.0 * reference.ACT_MAX * columns)
    active, y = Quantized(kernels, "int8", x[:4]), np.zeros((4, kernels.nr), np.float32)
    kernels.gemv(weights.c, 0, kernels.nr, active.c, 4, at(y), kernels.nr, nothing())
    np.testing.assert_allclose(y, expected, rtol=NEAR)
    if kernels.int_microkernel is not None:
        whole, sums = Quantized(kernels, "int8", x, for_gemv=False), np.zeros((kernels.mr, kernels.nr), np.float32)
        room = packed(kernels, weights, 0, kernels.nr)
        kernels.int_microkernel(weights.c, at(room), at(whole.q), at(whole.scale), at(sums))
        np.testing.assert_allclose(sums, expected, rtol=NEAR)


@pytest.mark.parametrize("level", LEVELS)
def test_gemv_is_the_same_alone_and_with_others(level: int) -> None:
    kernels = Kernels(level)
    for kind in KINDS:
        weights, x = Stored.of(kernels, kind, drawn(1, 16, 1056)), drawn(2, 8, 1056)
        together, alone = np.zeros((8, 16), np.float32), np.zeros((8, 16), np.float32)
        batch = Quantized(kernels, kind, x)
        kernels.gemv(weights.c, 0, 16, batch.c, 8, at(together), 16, nothing())
        for row in range(8):
            one = Quantized(kernels, kind, x[row : row + 1])
            kernels.gemv(weights.c, 0, 16, one.c, 1, at(alone[row]), 16, nothing())
        assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("k", [1, 7, 300])
def test_microkernel(k: int, level: int) -> None:
    kernels = Kernels(level)
    a, b = drawn(1, k, kernels.mr), roomy(drawn(2, k, kernels.nr + 3))
    left, right = a.T, b[:, : kernels.nr]
    expected, magnitudes = reference.microkernel(left, right), np.abs(left) @ np.abs(right)
    for m, n, add in (
        (kernels.mr, kernels.nr, 0),
        (kernels.mr, kernels.nr, 1),
        (kernels.mr - 1, kernels.nr, 1),
        (1, 3, 0),
    ):
        c = np.full((kernels.mr, kernels.nr + 5), 2.0, np.float32)
        kernels.microkernel(k, at(roomy(a)), at(b), kernels.nr + 3, at(c), kernels.nr + 5, m, n, add)
        assert_near(c[:m, :n], expected[:m, :n] + 2.0 * add, magnitudes[:m, :n] + 2)
        c[:m, :n] = 2.0
        assert (c == 2.0).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("k", [1, 7, 300])
def test_microkernel_unpacked(k: int, level: int) -> None:
    kernels = Kernels(level)
    a, b = roomy(drawn(1, kernels.mr, k + 4)), roomy(drawn(2, k, kernels.nr))
    expected = reference.microkernel_unpacked(a[:, :k], b)
    for m, n in ((kernels.mr, kernels.nr), (2, kernels.nr - 1)):
        c = np.full((kernels.mr, kernels.nr), 7.0, np.float32)
        kernels.microkernel_unpacked(k, at(a), k + 4, at(b), kernels.nr, at(c), kernels.nr, m, n)
        assert_near(c[:m, :n], expected[:m, :n], (np.abs(a[:, :k]) @ np.abs(b))[:m, :n])
        c[:m, :n] = 7.0
        assert (c == 7.0).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 15, 128, 1024, 1500, 2112])
def test_quantize_activations(n: int, level: int) -> None:
    kernels = Kernels(level)
    padded, groups = -(-n // 128) * 128, -(-n // reference.ACT_GROUP)
    for x in (drawn(n, n) * 1e3, drawn(n, n) * 1e-3, np.zeros(n, np.float32)):
        q, scale = np.full(padded, 9, np.int16), np.zeros(groups, np.float32)
        kernels.quantize_activations(at(roomy(x)), n, at(q), at(scale))
        expected = reference.quantize_activations(x)
        assert (q[:n] == expected[0]).all()
        assert (q[n:] == 0).all()
        assert (scale == expected[1]).all()
    for broken in (math.nan, math.inf, -math.inf):
        x = drawn(n, n)
        x[-1] = broken
        kernels.quantize_activations(at(roomy(x)), n, at(q), at(scale))
        assert list(np.isnan(scale)) == [False] * (groups - 1) + [True]


@pytest.mark.parametrize("level", WITH_VNNI)
@pytest.mark.parametrize("kind", ["int8", "int4"])
@pytest.mark.parametrize("columns", [128, 1024, 1152, 2176])
def test_split_activations(columns: int, kind: str, level: int) -> None:
    kernels = Kernels(level)
    generator, width = np.random.default_rng(columns), 4 * kernels.lanes
    numbers = generator.integers(-reference.ACT_MAX, reference.ACT_MAX + 1, columns).astype(np.int16)
    numbers[:5] = -reference.ACT_MAX, reference.ACT_MAX, 127, 128, -129
    q, correction = roomy(numbers, np.int16), np.zeros(columns // 8, np.int32)
    kernels.split_activations(KINDS.index(kind), columns, at(q), at(correction))
    expected, sums = reference.split_activations(kind, numbers, width)
    assert (q.view(np.int8).reshape(-1, 2, width) == expected).all()
    assert (correction.reshape(-1, kernels.lanes)[: len(sums)].sum(1) == sums).all()


def packed(kernels: Kernels, weights: Stored, first: int, count: int) -> Array:
    padded = -(-weights.shape[1] // 128) * 128
    room = np.full((padded // 2 + padded // reference.GROUP + 1) * kernels.nr, 99, np.float32)
    kernels.int_gemm_pack(weights.c, first, count, at(room))
    return room


@pytest.mark.parametrize("level", WITH_VNNI)
@pytest.mark.parametrize("columns", [64, 77, 300])
def test_int_gemm_pack(columns: int, level: int) -> None:
    kernels = Kernels(level)
    weights, _ = whole_numbers(2, kernels.nr + 4, columns, "int8")
    stored, padded = Stored.of(kernels, "int8", weights * 0.5), -(-columns // 128) * 128
    for first, count in ((0, kernels.nr), (3, 5)):
        room = packed(kernels, stored, first, count)
        expected = reference.int_gemm_pack(weights[first : first + count], kernels.nr, padded)
        cells = padded // 2 * kernels.nr
        assert (room[:cells].view(np.int16).reshape(expected.shape) == expected).all()
        assert room[cells : cells + kernels.nr].tolist() == [0.5] * count + [0.0] * (kernels.nr - count)


@pytest.mark.parametrize("level", WITH_VNNI)
@pytest.mark.parametrize("kind", ["int8", "int4"])
@pytest.mark.parametrize("columns", [32, 96, 1056, 2112, 77, 1500])
def test_int_microkernel(columns: int, kind: str, level: int) -> None:
    if kind == "int4" and columns % reference.GROUP:
        pytest.skip("rows of whole groups only")
    kernels = Kernels(level)
    weights = Stored.of(kernels, kind, drawn(1, kernels.nr, columns))
    x = Quantized(kernels, kind, drawn(2, kernels.mr, columns), for_gemv=False)
    sums, worth = np.full((kernels.mr, kernels.nr), 99, np.float32), weights.values(kernels)
    kernels.int_microkernel(weights.c, at(packed(kernels, weights, 0, kernels.nr)), at(x.q), at(x.scale), at(sums))
    assert_near(sums, reference.int_microkernel(worth, x.values), np.abs(x.values) @ np.abs(worth.T))


@pytest.mark.parametrize("level", WITH_VNNI)
def test_int_microkernel_of_whole_numbers_is_exact(level: int) -> None:
    kernels = Kernels(level)
    weights, x = whole_numbers(7, kernels.nr, 300, "int8")
    stored, active = (
        Stored.of(kernels, "int8", weights),
        Quantized(kernels, "int8", np.resize(x, (kernels.mr, 300)), for_gemv=False),
    )
    sums = np.zeros((kernels.mr, kernels.nr), np.float32)
    kernels.int_microkernel(
        stored.c, at(packed(kernels, stored, 0, kernels.nr)), at(active.q), at(active.scale), at(sums)
    )
    assert (sums == reference.int_microkernel(weights, active.values)).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_quantize_row(kind: str, level: int) -> None:
    kernels = Kernels(level)
    for columns in (32, 96, 320) if kind == "int4" else (1, 15, 96, 301):
        x = drawn(columns, 3, columns) * np.float32(10.0) ** np.arange(-1, 2, dtype=np.float32)[:, None]
        found = Stored.of(kernels, kind, x).values(kernels)
        for row in range(3):
            expected = reference.quantize_row(kind, x[row])
            if kind == "int4":  # of two scales that lose as much either may be taken: the loss is what counts
                lost = [np.square(worth - x[row]).sum() for worth in (found[row], expected)]
                assert lost[0] == pytest.approx(lost[1], rel=2e-3)
            else:
                np.testing.assert_allclose(found[row], expected, rtol=2e-7 if kind == "int8" else 0)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_dequantize_row(kind: str, level: int) -> None:
    """Parts of a row, against numpy's reading of the stored bytes."""
    kernels = Kernels(level)
    stored = Stored.of(kernels, kind, drawn(3, 4, 96))
    dtypes = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "int8": np.int8}
    if kind == "int4":
        indices = stored.data[:, :48].reshape(4, 3, 16)
        levels = reference.INT4_LEVELS[np.concatenate([indices & 15, indices >> 4], axis=2)]
        worth = levels * stored.data[:, 48:].view(np.float16).astype(np.float64)[:, :, None]
    else:
        worth = stored.data.view(dtypes[kind]).astype(np.float64)
        if kind == "BF16":
            worth = (stored.data.view(np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        if kind == "int8":
            worth *= stored.scale.astype(np.float64)[:, None]
    worth = worth.reshape(4, 96).astype(np.float32)
    for row, start, count in ((0, 0, 96), (3, 32, 64), (2, 64, 32)):
        out = np.full(count + 1, 99, np.float32)
        kernels.dequantize_row(stored.c, row, start, count, at(out))
        assert out[:-1].tobytes() == reference.dequantize_row(worth, row, start, count).tobytes()
        assert out[-1] == 99


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 5, 64, 77])
@pytest.mark.parametrize("kind", ["layer", "rms", "none"])
def test_norm(kind: str, n: int, level: int) -> None:
    kernels, x, number = Kernels(level), drawn(n, n) * 3 + 5, ("layer", "rms", "none").index(kind)
    for weight, bias in ((drawn(1, n), drawn(2, n)), (None, None), (drawn(1, n), None)):
        out, in_place = np.zeros(n, np.float32), x.copy()
        kernels.norm(number, at(x), at(weight), at(bias), 1e-5, n, at(out))
        np.testing.assert_allclose(out, reference.norm(kind, x, weight, bias, 1e-5), rtol=1e-5, atol=1e-5)
        kernels.norm(number, at(in_place), at(weight), at(bias), 1e-5, n, at(in_place))
        assert in_place.tobytes() == out.tobytes()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 5, 64, 77])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_epilogue(activation: str, n: int, level: int) -> None:
    kernels, sums, old = Kernels(level), drawn(n, n) * 3, drawn(9, n)
    for number, mode in enumerate(("store", "add", "activate", "gated")):
        numbers = number, ACTIVATIONS.index(activation)
        for bias in (drawn(3, n), None):
            expected = reference.epilogue(sums, bias, mode, activation, old)
            to, in_place = old.copy(), sums.copy()
            kernels.epilogue(at(sums), at(bias), n, *numbers, at(to))
            np.testing.assert_allclose(to, expected, rtol=1e-5, atol=1e-6)
            if mode in ("store", "activate"):
                kernels.epilogue(at(in_place), at(bias), n, *numbers, at(in_place))
                assert in_place.tobytes() == to.tobytes()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_large_numbers_and_of_none(activation: str, level: int) -> None:
    x = np.array([-1e30, -200, -88, -20, -1e-4, -1e-9, 0, 1e-9, 1e-4, 20, 88, 200, 1e30, np.nan] * 3, np.float32)
    to = np.zeros_like(x)
    Kernels(level).epilogue(at(x), None, x.size, 2, ACTIVATIONS.index(activation), at(to))
    with np.errstate(over="ignore"):
        expected = torch_activation(activation, x)
    assert np.isnan(to[13::14]).all()
    np.testing.assert_allclose(to, expected, rtol=2e-6, atol=1e-30 if activation == "tanh" else 2e-36 + 1e-4 * 88)
    small = np.abs(x) <= 20
    np.testing.assert_allclose(to[small], expected[small], rtol=1e-5, atol=1e-6 if "gelu" in activation else 0)


def torch_activation(name: str, x: Array) -> Array:
    """What the PyTorch model computes."""
    import torch

    from gptcli.model.gpt import _ACTIVATIONS

    found: Array = _ACTIVATIONS[name](torch.from_numpy(x)).numpy()
    return found


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("half", [1, 3, 16, 37])
def test_rotate(half: int, interleaved: int, level: int) -> None:
    x, angles = drawn(half, 2 * half + 3), drawn(1, half)
    turns = np.stack((np.cos(angles), np.sin(angles)))
    found = x.copy()
    Kernels(level).rotate(at(found), at(turns), half, interleaved)
    np.testing.assert_allclose(found, reference.rotate(x, turns, interleaved), rtol=1e-5, atol=1e-6)
    assert found[2 * half :].tobytes() == x[2 * half :].tobytes()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 5, 64, 77])
def test_soft_cap(n: int, level: int) -> None:
    for scale in (1e-5, 1.0, 100.0):
        x = np.append(drawn(n, n) * np.float32(scale), np.float32(99))
        for cap in (0.0, 3.0, 50.0):
            found = x.copy()
            Kernels(level).soft_cap(at(found), n, 0.7, cap)
            np.testing.assert_allclose(found[:n], reference.soft_cap(x[:n], float(np.float32(0.7)), cap), rtol=5e-7)
            assert found[n] == 99
    broken = np.full(n, np.nan, np.float32)
    Kernels(level).soft_cap(at(broken), n, 1.0, 3.0)
    assert np.isnan(broken).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 5, 64, 77])
def test_add_slope(n: int, level: int) -> None:
    x = drawn(n, n)
    found = x.copy()
    Kernels(level).add_slope(at(found), n, 0.3, 5)
    np.testing.assert_allclose(found, reference.add_slope(x, 0.3, 5), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 5, 64, 77])
def test_clamp(n: int, level: int) -> None:
    x = drawn(n, n)
    x[n // 2] = np.nan
    found = x.copy()
    Kernels(level).clamp(at(found), n, 0.5)
    assert found.tobytes() == reference.clamp(x, 0.5).tobytes()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 5, 64, 77])
def test_softmax_numerators(n: int, level: int) -> None:
    x = drawn(n, n) * 4
    found = x.copy()
    largest = np.zeros(1, np.float32)
    total = Kernels(level).softmax_numerators(at(found), n, at(largest))
    assert largest == x.max()
    expected = reference.softmax_numerators(x)
    np.testing.assert_allclose(found, expected, rtol=2e-6)
    assert total == pytest.approx(expected.sum(), rel=2e-6)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("cache", [np.float32, np.float16])
@pytest.mark.parametrize("queries", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize(("count", "d"), [(1, 64), (7, 22), (40, 80), (13, 5), (67, 144)])
def test_attention_scores(count: int, d: int, queries: int, cache: type[np.floating], level: int) -> None:
    q, keys = drawn(1, queries, d), roomy(drawn(2, count, d), cache)
    out, half, score = (
        np.full((queries, count + 2), 99, np.float32),
        int(cache is np.float16),
        Kernels(level).attention_scores,
    )
    score(at(roomy(q)), queries, at(keys), half, count, d, 0.125, at(out), count + 2)
    wide = keys.astype(np.float32)
    assert (out[:, count:] == 99).all()
    assert_near(out[:, :count], reference.attention_scores(q, wide, 0.125), np.abs(q) @ np.abs(wide).T * 0.125)
    alone = np.zeros(count, np.float32)
    for one, found in zip(q, out, strict=True):  # a query's scores do not depend on the others
        score(at(roomy(one)), 1, at(keys), half, count, d, 0.125, at(alone), 0)
        assert (alone == found[:count]).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("cache", [np.float32, np.float16])
@pytest.mark.parametrize("queries", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize(("count", "d"), [(1, 64), (7, 22), (40, 80), (13, 5), (67, 144)])
def test_attention_mix(count: int, d: int, queries: int, cache: type[np.floating], level: int) -> None:
    p, stored = np.abs(drawn(1, queries, count + 3)), roomy(drawn(2, count, d), cache)
    out, half, mix = np.full((queries, d + 2), 99, np.float32), int(cache is np.float16), Kernels(level).attention_mix
    mix(at(p), count + 3, queries, at(stored), half, count, d, at(out), d + 2)
    weights, values = p[:, :count], stored.astype(np.float32)
    assert (out[:, d:] == 99).all()
    assert_near(out[:, :d], reference.attention_mix(weights, values), weights @ np.abs(values))
    alone = np.zeros(d, np.float32)
    for one, found in zip(p, out, strict=True):  # a query's sums do not depend on the others
        mix(at(one), 0, 1, at(stored), half, count, d, at(alone), 0)
        assert (alone == found[:d]).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 31, 33, 1000])
def test_top_k(n: int, level: int) -> None:
    kernels = Kernels(level)
    for x in (drawn(n, n), np.round(drawn(n, n)), np.arange(n, dtype=np.float32)):
        k = min(n, 20)
        indices, values = np.zeros(k, np.int32), np.zeros(k, np.float32)
        assert kernels.top_k(at(x), n, k, at(indices), at(values)) == 0
        assert (indices == reference.top_k(x, k)).all()
        assert (values == x[indices]).all()
    x[-1] = math.nan
    assert kernels.top_k(at(x), n, k, at(indices), at(values)) == -1


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 15, 16, 1000])
def test_exp_sum(n: int, level: int) -> None:
    x = drawn(n, n) * 30
    found = Kernels(level).exp_sum(at(x), n, float(x.max()))
    assert found == pytest.approx(reference.exp_sum(x, float(x.max())), rel=1e-13)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 15, 16, 1000])
def test_entropy_sums(n: int, level: int) -> None:
    x, sums = drawn(n, n) * 30, np.zeros(2)
    Kernels(level).entropy_sums(at(x), n, float(x.max()), at(sums))
    assert sums == pytest.approx(reference.entropy_sums(x, float(x.max())), rel=1e-12, abs=1e-290)
    x[0] = -math.inf  # adds nothing
    if n > 1:
        Kernels(level).entropy_sums(at(x), n, float(x.max()), at(sums))
        assert sums == pytest.approx(reference.entropy_sums(x[1:], float(x.max())), rel=1e-12, abs=1e-290)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 15, 16, 1000])
def test_rank_of(n: int, level: int) -> None:
    for x in (drawn(n, n), np.round(drawn(n, n))):
        for index in {0, n // 2, n - 1}:
            assert Kernels(level).rank_of(at(x), n, index) == reference.rank_of(x, index)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_sum(mode: int, level: int) -> None:
    x = roomy(np.random.default_rng(1).integers(-99, 99, 1024))
    assert Kernels(level).sum(at(x), 1024, mode) == reference.sum(x)


def linear(
    kernels: Kernels, kind: str, w: Array, bias: Array, x: Array, *, prefill: int, mode: int, old: Array
) -> Array:
    y, kinds = old.copy(), KINDS.index(kind)
    where = [at(array) for array in (w, bias, x, y)]
    shape, how = (w.shape[0], w.shape[1]), (x.shape[0], prefill, mode, ACTIVATIONS.index("relu"))
    assert kernels.library.gptcli_test_linear(kernels.level, kinds, *shape, *where[:3], *how, where[3]) == 0
    return y


def check_linear(kernels: Kernels, kind: str, rows: int, columns: int) -> None:
    """All ways that a layer is computed, against its product, bias and residual or activation."""
    w, bias = drawn(1, rows, columns), drawn(2, rows)
    stored = Stored.of(kernels, kind, w).values(kernels).astype(np.float64)
    for m, prefill in ((1, 0), (5, 0), (13, 0), (9, 1), (30, 1), (61, 1), (121, 1)):
        x, old = drawn(m, m, columns), drawn(3, m, rows)
        sums = reference.gemv(stored, x) + bias
        products = np.abs(x) @ np.abs(stored.T)
        # int8 and int4 meet activations of 16 bits: half a step of each. AMX has two bytes for 4-bit weights as well.
        step = np.abs(x).max(1)[:, None] * np.abs(stored).sum(1) + np.abs(x).sum(1)[:, None] * np.abs(stored).max(1)
        allowed = NEAR * (products + np.abs(old) + np.abs(bias)) + (step * 2.0**-16 if kind.startswith("int") else 0)
        relu = np.maximum(sums, 0)
        for mode, expected in enumerate((sums, old + sums, relu, old * relu)):
            y = linear(kernels, kind, w, bias, x, prefill=prefill, mode=mode, old=old)
            assert_near(y, expected, allowed * np.maximum(1, np.abs(old)), within=1.0)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "columns"), [(37, 96), (77, 1056), (50, 45)])
def test_linear(rows: int, columns: int, kind: str, level: int) -> None:
    if kind == "int4" and columns % reference.GROUP:
        pytest.skip("rows of whole groups only")
    check_linear(Kernels(level), kind, rows, columns)


KNOBS: dict[str, dict[str, Any]] = {
    "plain": {},
    "groups": {"kv_heads": 2},
    "one key": {"kv_heads": 1},
    "window": {"window": 7},
    "window of one": {"window": 1, "kv_heads": 2},
    "cap": {"cap": 0.5, "kv_heads": 2},
    "slopes": {"slopes": np.array([0.5, 0.1, 0.3, 0.02], np.float32), "window": 20},
    "rotary": {"rotary_dim": 12},
    "rotary neighbours": {"rotary_dim": 6, "interleaved": 1, "kv_heads": 2, "growth": 1 + drawn(8, 50)},
    "norm of heads": {"qk_norm": 1, "norm_kind": 1, "kv_heads": 2, "clip": 0.9},
    "norm of each head": {"qk_norm": 2, "rotary_dim": 12, "clip": 0.9},
    "norm of all": {"qk_norm": 3, "norm_kind": 1, "rotary_dim": 12, "kv_heads": 2, "clip": 0.9},
}


def prepared(qkv: Array, position: int, knobs: dict[str, Any], arrays: dict[str, Array]) -> tuple[Array, Array, Array]:
    """A token's queries, keys and values as attention uses them, made in gpt.py's order: [heads, size]."""
    kv_heads, size, kind = knobs["kv_heads"], qkv.shape[-1], ("layer", "rms")[knobs.get("norm_kind", 0)]
    if "clip" in knobs:
        qkv = reference.clamp(qkv, knobs["clip"])
    heads = len(qkv) - 2 * kv_heads
    parts = {"q": qkv[:heads], "k": qkv[heads : heads + kv_heads]}
    for name, part in parts.items():
        weight = arrays[f"{name}_norm"]
        if knobs.get("qk_norm") == 3:
            parts[name] = reference.norm(kind, part.reshape(-1), weight.reshape(-1), None, 1e-5).reshape(part.shape)
        elif knobs.get("qk_norm"):
            rows = weight if knobs["qk_norm"] == 2 else np.repeat(weight[:1], len(part), 0)
            both = zip(part, rows, strict=True)
            parts[name] = np.array([reference.norm(kind, head, row, None, 1e-5) for head, row in both])
        if "rotary_dim" in knobs:
            turns = arrays["turns"][position]
            parts[name] = np.array([reference.rotate(head, turns, knobs.get("interleaved", 0)) for head in parts[name]])
    growth = knobs["growth"][position] if "growth" in knobs else 1.0
    return parts["q"] * growth, parts["k"].reshape(kv_heads, size), qkv[heads + kv_heads :]


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [22, 64, 83])
@pytest.mark.parametrize(("m", "prefill"), [(1, 0), (4, 0), (5, 1), (40, 1)])
@pytest.mark.parametrize("knobs", [*KNOBS, "half"])
def test_attention(knobs: str, m: int, prefill: int, size: int, level: int) -> None:
    """Some tokens behind a past of 3, of one row or of several."""
    positions = 3 + np.arange(m) if prefill else np.full(m, 3)
    check_attention(knobs, positions.astype(np.int32), prefill, size, level)


LONG = {
    **{name: KNOBS[name] for name in ("plain", "one key", "cap")},
    "slopes": {**KNOBS["slopes"], "kv_heads": 2, "window": 1700},
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("positions", [[511], [512], [1023], [1024], [2500], [2500, 512, 40], [3100, 1025, 1024, 511]])
@pytest.mark.parametrize("knobs", [*LONG, "half"])
def test_attention_in_blocks(knobs: str, positions: list[int], level: int) -> None:
    """Threads divide the blocks where there are few heads and rows; a row's numbers do not depend on the others."""
    many = check_attention(knobs, np.array(positions, np.int32), 0, 22, level)
    if len(positions) > 1:
        alone = check_attention(knobs, np.array(positions, np.int32), 0, 22, level, only=0)
        assert (alone[0] == many[0]).all()


def check_attention(
    knobs: str, positions: Array, prefill: int, size: int, level: int, *, only: int | None = None
) -> Array:
    """Tokens at these positions, behind a random past; ``only`` one row of them. Returns their outputs."""
    cached, m = np.float16 if knobs == "half" else np.float32, len(positions)
    chosen = LONG if positions.max() >= 50 else KNOBS
    heads, capacity = 4, max(50, int(positions.max()) + 1)
    how = {"kv_heads": 4, **chosen.get(knobs, {"kv_heads": 2, "half": 1})}
    kv_heads, group = how["kv_heads"], heads // how["kv_heads"]
    rows = np.ones(m, np.int32) if prefill else np.arange(m, dtype=np.int32)
    qkv, out = drawn(1, m, heads + 2 * kv_heads, size), np.zeros((m, heads, size), np.float32)
    mine = qkv.copy()  # which attention changes
    caches = [roomy(drawn(seed, max(m, 2), kv_heads, capacity, size), cached) for seed in (2, 3)]
    angles = drawn(4, capacity, how.get("rotary_dim", 2) // 2)
    arrays = {"turns": np.stack((np.cos(angles), np.sin(angles)), 1)}
    arrays |= {"q_norm": 1 + drawn(5, heads, size), "k_norm": 1 + drawn(6, kv_heads, size)}
    if only is not None:
        m, qkv, mine = 1, qkv[only : only + 1], mine[only : only + 1].copy()
        rows, positions = rows[only : only + 1], positions[only : only + 1]
    keys, values = (cache.copy() for cache in caches)
    queries = []
    for token in range(m):
        q, k, v = prepared(qkv[token], positions[token], how, arrays)
        keys[rows[token], :, positions[token]], values[rows[token], :, positions[token]] = k, v
        queries.append(q)
    given = {name: at(value) for name, value in {**arrays, **how}.items() if isinstance(value, np.ndarray)}
    job = AttentionJob(
        *map(at, (mine, out, *caches, rows, positions)), m, heads, kv_heads, size, capacity, prefill,
        scale=0.25, epsilon=1e-5, **{name: value for name, value in how.items() if name not in (*given, "kv_heads")},
    )  # fmt: skip
    for name, value in given.items():
        if name != "turns" or "rotary_dim" in how:
            setattr(job, name, value)
    assert library.library().gptcli_test_attention(level, ctypes.byref(job)) == 0  # type: ignore[union-attr]
    rounding = 1e-3 if cached is np.float16 else 1e-5
    np.testing.assert_allclose(caches[0], keys, rtol=rounding, atol=2e-6)
    assert caches[1].tobytes() == values.tobytes()
    kinds = {"window": how.get("window", 0), "cap": how.get("cap", 0.0)}
    for token in range(m):
        for head in range(heads):
            seen = (rows[token], head // group, slice(positions[token] + 1))
            slope = how["slopes"][head] if "slopes" in how else 0.0
            k, v = keys[seen].astype(np.float32), values[seen].astype(np.float32)
            expected = reference.attention(queries[token][head], k, v, 0.25, slope=slope, **kinds)
            np.testing.assert_allclose(out[token, head], expected, rtol=1e-5, atol=5e-6)
    return out
