"""The parsers that atheris is let loose on (``make fuzz-coverage``): what it starts from, and odd small inputs."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from gptcli.errors import CheckpointError, GptcliError
from tests.fuzz.seeds import write_seeds
from tests.fuzz.targets import TARGETS

ODD = (
    *(b"", b"\0", b"{}", b"[]", b"null", b"\xff" * 9, b"\xef\xbb\xbf{}", b'{"a":1e999}', b'{"a":NaN}', b"{" * 5000),
    *(b"\x02\0\0\0\0\0\0\0{}", b"\xff\xff\xff\xff\xff\xff\xff\xff{}", b"\x02\0\0\0\0\0\0\0[]", b'{"\\ud800":0}'),
)


@pytest.mark.slow
def test_every_target_reads_what_it_starts_from(tmp_path: Path) -> None:
    read = dict.fromkeys(TARGETS, 0)
    for seed in write_seeds(tmp_path):
        for name, target in TARGETS.items():
            path = seed / target.file
            with suppress(FileNotFoundError):
                data = path.read_bytes()
                if name == "config":
                    # The weights are an empty file there, so the configuration is understood and then does not fit.
                    with pytest.raises(GptcliError, match=r"does not fit|no family|word vectors|word-vectors"):
                        target.read(seed)
                else:
                    target.read(seed)
                assert target.part(data) == data[: len(target.part(data))]
                read[name] += 1
    assert min(read.values()) >= 1, read
    assert read["tokenizer"] >= 5


@pytest.mark.parametrize("name", TARGETS)
def test_odd_inputs_are_refused(name: str, tmp_path: Path) -> None:
    for data in ODD:
        TARGETS[name].open(data, tmp_path)


def test_a_target_lets_nothing_but_our_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        TARGETS["header"].read(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({}))
    with pytest.raises(CheckpointError):
        TARGETS["tokenizer"].read(tmp_path)
