"""Headers and indexes: the same answer as the safetensors library, and a quick clear no to everything broken."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from gptcli.checkpoint.files.header import DTYPE_BITS, Header
from gptcli.checkpoint.files.shards import read_header
from gptcli.errors import CheckpointError

DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "I64": np.int64, "U8": np.uint8, "BOOL": np.bool_}
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
names = st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__" and name.isprintable())
files_ok = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def write(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(dtype: str = "F32", shape: tuple[int, ...] = (2,), offsets: tuple[int, int] = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    assert len(str(caught.value)) < 1000
    assert path.name in str(caught.value) or path.parent.name in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
@files_ok
@given(
    st.dictionaries(names, st.tuples(st.sampled_from(sorted(DTYPES)), shapes), max_size=6),
    st.dictionaries(names, names, max_size=3),
)
def test_what_the_library_saved_is_read_as_the_library_reads_it(
    tmp_path: Path, specs: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str]
) -> None:
    rng = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {
        name: rng.integers(0, 2, shape).astype(DTYPES[dtype]) for name, (dtype, shape) in specs.items()
    }
    path = tmp_path / "x.safetensors"
    save_file(tensors, path, metadata=metadata or None)  # for {} safetensors 0.8 writes a header that is no JSON
    header = read_header(path)
    assert header.metadata == metadata
    assert header.files == (path,)
    data = path.read_bytes()
    with safe_open(path, framework="np") as reference:
        assert set(header.tensors) == set(reference.keys())
        for name, info in header.tensors.items():
            view = reference.get_slice(name)
            assert (info.dtype, list(info.shape)) == (view.get_dtype(), view.get_shape())
            assert (info.count, info.nbytes) == (tensors[name].size, tensors[name].nbytes)
            assert data[info.start : info.end] == tensors[name].tobytes()


@pytest.mark.slow
@files_ok
@given(
    sizes=st.lists(shapes, min_size=1, max_size=4),
    dtypes=st.lists(st.sampled_from(sorted(DTYPE_BITS)), min_size=4, max_size=4),
    shifts=st.lists(st.sampled_from([0, 0, 0, 0, 0, 1, -1, 4]), min_size=9, max_size=9),
    extra=st.dictionaries(
        st.sampled_from(["dtype", "shape", "data_offsets", "note"]),
        st.sampled_from([[], [1.5], ["2"], [True], [0, 0, 0], "F32", "f32", None, {}, 7]),
        max_size=1,
    ),
    metadata=st.sampled_from([{}, {"a": "b"}, None, {"a": 1}, [], "x"]),
)
def test_the_library_accepts_exactly_what_we_accept(
    tmp_path: Path,
    sizes: list[tuple[int, ...]],
    dtypes: list[str],
    shifts: list[int],
    extra: dict[str, Any],
    metadata: Any,
) -> None:
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for index, shape in enumerate(sizes):
        start, end = end, end + int(np.prod(shape, dtype=int)) * DTYPE_BITS[dtypes[index]] // 8
        offsets = (max(start + shifts[2 * index], 0), max(end + shifts[2 * index + 1], 0))
        header[f"t{index}"] = entry(dtypes[index], shape, offsets)
    header["t0"] |= extra
    path = write(tmp_path / "x.safetensors", header, b"\0" * max(end + shifts[8], 0))
    try:
        with safe_open(path, framework="np") as reference:
            expected = set(reference.keys())
    except SafetensorError:
        refused(path)
    else:
        assert set(read_header(path).tensors) == expected


GOOD = {"a": entry()}
HOSTILE: dict[str, tuple[Any, str]] = {
    "list": (b"[]", "not a JSON object"),
    "leading space": (b' {"a": 1}', "not a JSON object"),
    "byte order mark": (b"\xef\xbb\xbf{}", "not a JSON object"),
    "not utf-8": (b'{"\xff": 1}', "not valid JSON"),
    "cut": (b'{"a": ', "not valid JSON"),
    "rubbish after": (b"{} x", "not valid JSON"),
    "deep lists": (b'{"a": ' + b"[" * 3_000_000, "nested too deeply"),
    "deep objects": (b'{"a": ' * 100_000, "nested too deeply"),
    "long number": (b'{"a": ' + b"9" * 5_000_000 + b"}", "not between 0 and"),
    "nan": (b'{"a": NaN}', "NaN is not JSON"),
    "key twice": (b'{"a": {}, "a": {}}', "'a' appears twice"),
    "unpaired surrogate": (b'{"\\ud800": {}}', "not valid JSON"),
    "entry no object": ({"a": 3}, "'a' is not described"),
    "entry empty": ({"a": {}}, "'a' has the unknown dtype None"),
    "dtype unknown": ({"a": entry(dtype="F7")}, "'a' has the unknown dtype 'F7'"),
    "dtype a list": ({"a": {**entry(), "dtype": ["F32"]}}, "unknown dtype"),
    "shape negative": (b'{"a": {"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}}', "-1 is not between"),
    "shape fraction": ({"a": {**entry(), "shape": [2.0]}}, "'a' has no usable shape"),
    "shape boolean": ({"a": {**entry(), "shape": [True, 2]}}, "'a' has no usable shape"),
    "shape text": ({"a": {**entry(), "shape": "2"}}, "'a' has no usable shape"),
    "shape overflows": ({"a": entry(shape=(2**33, 2**33))}, "impossible shape"),
    "shape overflows before a zero": ({"a": entry(shape=(2**63, 2**63, 0), offsets=(0, 0))}, "impossible shape"),
    "shape endless": ({"a": entry(shape=(2**63,) * 100_000)}, "impossible shape"),
    "shape huge": ({"a": entry(shape=(2**60,))}, "8 bytes long"),
    "offsets backwards": ({"a": entry(offsets=(8, 0))}, "'a' has no usable data_offsets"),
    "offsets three": ({"a": {**entry(), "data_offsets": [0, 4, 8]}}, "no usable data_offsets"),
    "offsets past the end": ({"a": entry(shape=(2**40,), offsets=(0, 2**42))}, "cut short"),
    "size wrong": ({"a": entry(shape=(3,))}, "'a' is 8 bytes long, but F32 [3] takes 12"),
    "hole": ({"a": entry(shape=(1,), offsets=(4, 8))}, "'a' leaves a hole"),
    "overlap": ({"a": entry(), "b": entry(shape=(1,), offsets=(4, 8))}, "'b' overlaps"),
    "trailing bytes": ({"a": entry(shape=(1,), offsets=(0, 4))}, "4 bytes after its last tensor"),
    "nothing but data": ({}, "8 bytes after its last tensor"),
    "metadata numbers": ({"__metadata__": {"x": 1}, **GOOD}, "__metadata__"),
    "name long": ({"n" * 1_000_000: 3}, "is not described"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_headers_are_refused_quickly(tmp_path: Path, case: str) -> None:
    header, message = HOSTILE[case]
    assert message in refused(write(tmp_path / "x.safetensors", header, b"\0" * 8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too short"),
        (b"\x02\0\0", "too short"),
        (struct.pack("<Q", 2**63), "the format allows 100,000,000"),
        (struct.pack("<Q", 100_000_001) + b"{}", "the format allows 100,000,000"),
        (struct.pack("<Q", 99_999_999) + b"{}", "cut short"),
        (struct.pack("<Q", 0), "not a JSON object"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-lfs pointer"),
        (b"<!DOCTYPE html><html></html>", "the format allows"),
    ],
)
def test_files_that_are_something_else_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    assert message in refused(path)


def test_what_is_not_a_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    assert "is missing" in refused(tmp_path / "x.safetensors")
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert "not a regular file" in refused(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    assert "not a regular file" in refused(tmp_path / "folder.safetensors")


def test_a_hundred_gigabytes_are_read_from_the_header_alone(tmp_path: Path) -> None:
    count = 10**11 // 4
    path = write(tmp_path / "x.safetensors", {"a": entry(shape=(count,), offsets=(0, 4 * count))})
    os.truncate(path, path.stat().st_size + 4 * count)
    assert read_header(path).tensors["a"].count == count  # pytest's time limit ends what reads the data


def shard(path: Path, *keys: str, metadata: dict[str, str] | None = None) -> Path:
    save_file({key: np.zeros(3, np.float32) for key in keys}, path, metadata=metadata)
    return path


def index(folder: Path, weight_map: Any) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1.5}, "weight_map": weight_map}))
    return path


def test_an_index_joins_its_shards(tmp_path: Path) -> None:
    one = shard(tmp_path / "one.safetensors", "a", "b", metadata={"format": "pt", "n": "1"})
    two = shard(tmp_path / "two.safetensors", "c", metadata={"n": "2"})
    path = index(tmp_path, {"a": "one.safetensors", "c": "two.safetensors", "b": "one.safetensors"})
    header = read_header(path)
    assert {name: info.file for name, info in header.tensors.items()} == {"a": one, "b": one, "c": two}
    assert header.files == (one, two)
    assert header.metadata == {"format": "pt", "n": "1"}


def test_a_tensor_that_the_index_forgot_is_kept(tmp_path: Path) -> None:
    shard(tmp_path / "one.safetensors", "a", "forgotten")
    assert set(read_header(index(tmp_path, {"a": "one.safetensors"})).tensors) == {"a", "forgotten"}


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        (None, "no weight_map"),
        ({}, "no weight_map"),
        ([], "no weight_map"),
        ({"a": 1}, "not a plain file name"),
        ({"a": ""}, "not a plain file name"),
        ({"a": ".."}, "not a plain file name"),
        ({"a": "../x/one.safetensors"}, "not a plain file name"),
        ({"a": "/etc/passwd"}, "not a plain file name"),
        ({"a": "sub/one.safetensors"}, "not a plain file name"),
        ({"a": "..\\one.safetensors"}, "not a plain file name"),
        ({"a": "C:one.safetensors"}, "not a plain file name"),
        ({"a": "one.safetensors\0"}, "not a plain file name"),
        ({"a": "one.safetensors", "b": "three.safetensors", "c": "four.safetensors"}, "lacks 2 of 3 shards: four"),
        ({"a": "one.safetensors", "z": "one.safetensors"}, "not in the shard it gives for them: z"),
        ({"a": "one.safetensors", "b": "two.safetensors", "c": "one.safetensors"}, "not in the shard .* them: c"),
        ({"a": "one.safetensors", "d": "twin.safetensors"}, "'a' lies in one.safetensors and in twin.safetensors"),
    ],
)
def test_broken_indexes_are_refused(tmp_path: Path, weight_map: Any, message: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    shard(folder / "one.safetensors", "a")
    shard(folder / "two.safetensors", "b", "c")
    shard(folder / "twin.safetensors", "a", "d")
    with pytest.raises(CheckpointError, match=message):
        read_header(index(folder, weight_map))


def test_an_index_with_a_key_twice_or_too_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text('{"weight_map": {"a": "one.safetensors", "a": "two.safetensors"}}')
    assert "'a' appears twice" in refused(path)
    path.write_text('{"weight_map": ' + "[" * 1_000_000)
    assert "nested too deeply" in refused(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    secret = shard(tmp_path / "secret.safetensors", "a")
    (folder / "one.safetensors").symlink_to(secret)
    assert "leaves its folder" in refused(index(folder, {"a": "one.safetensors"}))
    (folder / "one.safetensors").unlink()
    (folder / "one.safetensors").symlink_to(folder / "one.safetensors")
    assert "lacks 1 of 1" in refused(index(folder, {"a": "one.safetensors"}))


def cached(tmp_path: Path) -> Path:
    """A repository as the Hugging Face cache lays it out; returns the snapshot's folder."""
    snapshot, blobs = tmp_path / "models--x--y" / "snapshots" / "abc", tmp_path / "models--x--y" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    shard(blobs / "0123", "a")
    (snapshot / "one.safetensors").symlink_to(Path("../../blobs/0123"))
    index(blobs, {"a": "one.safetensors"}).rename(blobs / "4567")
    (snapshot / "model.safetensors.index.json").symlink_to(Path("../../blobs/4567"))
    return snapshot


def test_the_links_of_the_hugging_face_cache_are_followed(tmp_path: Path) -> None:
    snapshot = cached(tmp_path)
    (tmp_path / "shortcut").symlink_to(snapshot)
    for folder in (snapshot, tmp_path / "shortcut"):
        header: Header = read_header(folder / "model.safetensors.index.json")
        assert header.tensors["a"].file == folder / "one.safetensors"


def test_a_snapshot_cannot_link_past_its_blobs(tmp_path: Path) -> None:
    snapshot = cached(tmp_path)
    (snapshot / "one.safetensors").unlink()
    (snapshot / "one.safetensors").symlink_to(shard(tmp_path / "models--x--y" / "refs.safetensors", "a"))
    assert "leaves its folder" in refused(snapshot / "model.safetensors.index.json")
