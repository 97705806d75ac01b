"""Lines as they come: whole ones, with the moments at which a pipe's writer waits."""

import os
from io import BytesIO
from pathlib import Path

import pytest

from gptcli.system.line_reader import each_line
from gptcli.system.text_file import MOST_LINE


@pytest.mark.parametrize("data", [b"", b"\n", b"a", b"a\n", b"a\r\nb\rc\n\nd", b"\n\n", b"x" * 70_000 + b"\ny"])
def test_lines_of_files_are_pythons(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(data)
    with (tmp_path / "lines").open("rb") as file:
        expected = list(enumerate(file, start=1))
    with (tmp_path / "lines").open("rb") as file:
        assert list(each_line(file)) == list(each_line(BytesIO(data))) == expected


def test_a_pause_comes_after_whole_lines_when_nothing_more_is_there() -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as file, open(write_end, "wb", buffering=0) as writer:
        lines = each_line(file)
        writer.write(b"a\nb\nhalf")
        assert [next(lines) for _ in range(3)] == [(1, b"a\n"), (2, b"b\n"), (2, None)]
        writer.write(b" a line\n")
        assert [next(lines) for _ in range(2)] == [(3, b"half a line\n"), (3, None)]
        writer.write(b"\n")  # an empty line is one, and may be answered too
        assert [next(lines) for _ in range(2)] == [(4, b"\n"), (4, None)]
        writer.write(b"end")
        writer.close()
        assert list(lines) == [(5, b"end")]


def test_many_lines_that_are_there_are_one_batch() -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as file, open(write_end, "wb", buffering=0) as writer:
        writer.write(b"line\n" * 5_000)
        lines = each_line(file)
        assert [line for _, line in (next(lines) for _ in range(5_001))] == [b"line\n"] * 5_000 + [None]


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"a\n" + b"x" * (20 * MOST_LINE))
    with (tmp_path / "lines").open("rb") as file:
        first, (number, line) = each_line(file)
        assert (first, number) == ((1, b"a\n"), 2)
        assert line is not None
        assert MOST_LINE < len(line) < 2 * MOST_LINE
        assert file.tell() < 2 * MOST_LINE
