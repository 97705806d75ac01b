"""Thousands of broken checkpoints, opened in every way: a clear error or a load, in bounded time and memory."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gptcli.model.native import available
from tests.amount import amount
from tests.checkpoint.test_quantized import change_kept, zero_embedding
from tests.fuzz.mutators import KINDS, Mutant, make
from tests.fuzz.runner import Tally, fuzz
from tests.fuzz.seeds import CACHE, write_seeds
from tests.fuzz.worker import MEGABYTES, Finding, _write_kept, read_seeds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")
COUNT = amount(800, 5_200)
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_mutant_ends_in_a_clear_error_or_a_load(tmp_path: Path) -> None:
    tally = Tally()
    fuzz(range(COUNT), tmp_path, min(os.cpu_count() or 1, 4), tally)
    print(tally)
    assert not tally.faults, "\n\n".join(f"mutant {n}: {fault}" for n, fault in sorted(tally.faults.items())[:5])
    assert tally.kinds.total() == COUNT
    # Neither is everything refused at the door, nor is nothing broken.
    assert set(tally.kinds) == set(KINDS)
    assert min(tally.ways["refused"], tally.ways["opened"]) > COUNT


@pytest.mark.slow
def test_a_number_makes_the_same_mutant_again(tmp_path: Path) -> None:
    write_seeds(tmp_path)
    seeds = read_seeds(tmp_path)
    assert len(seeds) == 21
    for number in range(50):
        assert make(number, seeds) == make(number, seeds)
    assert len({repr(make(number, seeds)) for number in range(200)}) == 200


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="the engine in C was not built")
def test_what_is_kept_of_a_seed_is_read_and_compared(tmp_path: Path) -> None:
    """Numbers that are other than those of the weights, with a seal that fits, are what the fuzzer is there to find."""
    write_seeds(tmp_path / "seeds")
    folder = tmp_path / "copy"
    Mutant(0, "", "", read_seeds(tmp_path / "seeds")["gpt2-kept"], {}).write(folder)
    _write_kept(folder)
    for file in folder.glob(f"{CACHE}/*/*/*.safetensors"):
        change_kept(file, zero_embedding)
    with pytest.raises(Finding, match="int8: other numbers from the cache"):
        _write_kept(folder)


def limited(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a line of Python in a process, then look at a folder within the limits."""
    script = (
        "import json, sys\nfrom pathlib import Path\nfrom tests.fuzz import worker\n"
        f"{code}\nprint(json.dumps(worker.examine_within_limits(Path(sys.argv[1]))))"
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_the_limits_hold(tmp_path: Path) -> None:
    """What hangs is killed, and what eats is told apart from a refusal: the fuzzer would find both."""
    hang = "worker.SECONDS = 1\ndef forever(path):\n    while True: pass\nworker.describe = forever"
    assert limited(hang.replace("describe", "_describe"), tmp_path).returncode == -signal.SIGPROF
    eat = f"worker._describe = lambda path: bytearray({MEGABYTES} * 1_100_000)"
    assert "MemoryError" in json.loads(limited(eat, tmp_path).stdout)["fault"]


def header_file(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


def many(item: str, size: int = 99_000_000) -> bytes:
    """A JSON list of very many of the same, within the format's limit."""
    return (b'{"a":[' + (item.encode() + b",") * (size // (len(item.encode()) + 1)))[:-1] + b"]}"


LARGE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "header of empty lists": ("model.safetensors", lambda: header_file(many("[]"))),
    "header of wide text": (
        "model.safetensors",
        lambda: header_file(b'{"__metadata__":{"a":"' + b"\xf0\x9f\x90\x88" * 24_000_000),
    ),
    "tokenizer.json of numbers": ("tokenizer.json", lambda: many("0")),
    "config.json of 3 GB": ("config.json", lambda: b""),
}


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_large_files_are_judged_before_memory_is_taken(tmp_path: Path) -> None:
    """A hundred megabytes each: nowhere does parsing them take more than the limit."""
    write_seeds(tmp_path / "seeds")
    folder = tmp_path / "seeds" / "gpt2"
    for case, (name, content) in LARGE.items():
        good = (folder / name).read_bytes()
        (folder / name).write_bytes(content())
        if "GB" in case:
            os.truncate(folder / name, 3_000_000_000)
        done = limited("", folder)
        (folder / name).write_bytes(good)
        assert done.returncode == 0, (case, done.stderr)
        outcome = json.loads(done.stdout)
        assert outcome["fault"] is None, case
        assert outcome["refused"] >= 1, case


def test_a_folder_with_only_a_pickle_says_how_to_convert_it(tmp_path: Path) -> None:
    """And the line to run holds the file's name as a Python string, whatever that name tries."""
    from typer.testing import CliRunner

    from gptcli.cli.app import app

    (tmp_path / "a'); import os; os.system('x.bin").write_bytes(b"cos\nsystem\n")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    for words in (["generate", "A"], ["neighbors", "A"]):
        done = CliRunner().invoke(app, [*words, "-m", str(tmp_path)])
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "torch.load(\"a'); import os; os.system('x.bin\", map_location='cpu', weights_only=True)" in done.stderr
