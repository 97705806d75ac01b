"""What memory is left, as the machine, the container and ``ulimit -v`` have it; and that work keeps within it."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from gptcli.model import memory
from tests.conftest import command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is read from /proc")


def test_what_is_left_is_no_more_than_any_limit_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    left = memory.free_memory()
    assert left is not None
    total = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    assert 0 < left < 2 * 1024 * total
    for name in ("_free_here", "_free_in_container", "_free_of_address_space"):
        monkeypatch.setattr(memory, name, lambda: 5)
        assert memory.free_memory() == 5
        monkeypatch.setattr(memory, name, lambda: None)
    assert memory.free_memory() is None


def test_an_address_space_with_a_limit(child_environment: dict[str, str]) -> None:
    script = (
        "import resource; from gptcli.model import memory; print(memory._free_of_address_space())\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)); print(memory._free_of_address_space())"
    )
    done = subprocess.run([sys.executable, "-c", script], env=child_environment, capture_output=True, check=True)
    before, after = done.stdout.split()
    assert before == b"None"
    assert 1 << 30 < int(after) < 3 << 30


@pytest.mark.slow
@pytest.mark.parametrize("output", [[], ["--json"], ["--explain"]])
def test_more_samples_than_memory_holds_are_written_one_after_the_other(
    child_environment: dict[str, str], output: list[str]
) -> None:
    limit = 2 << 30
    arguments = ["generate", "Once", "-N", "99999999999", "-n", "3", "--seed", "1", *output]
    with subprocess.Popen(
        command(arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(20_000)) == 20_000
        held = Path(f"/proc/{process.pid}/status").read_text()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    peak = next(int(line.split()[1]) for line in held.splitlines() if line.startswith("VmHWM"))
    assert peak < 600_000  # kB


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "text", "most"),
    [
        (["generate", "-n", "1"], "word " * 12_000_000, 200),
        (["chat", "-n", "1"], "word " * 4_000_000, 300),
        (["neighbors"], "a" * 60_000_000, 150),
        (["similarity", "--json"], "king " * 20_000, 200),
        (["similarity", "--json"], "king " * 2_000, 400),
        (["map"], "\n".join(f"{word}" for word in ["king", "queen"] * 10_000), 200),
        (["tokenize", "--json"], "The king and the queen. " * 100_000, 150),
        (["tokenize", "--decode"], "464 " * 5_000_000, 150),
        (["lens", "--json", "dog " * 500], "", 900),
        (["logits", "--top", "50257", "king"], "", 300),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_the_memory_of_a_whole_process_is_bounded(
    child_environment: dict[str, str], tmp_path: Path, arguments: list[str], text: str, most: int
) -> None:
    """In megabytes, and well below what each of these took while its input or its answer was held as a whole."""
    script = (
        "import sys\nfrom gptcli.cli.app import app\ntry:\n    app()\nexcept SystemExit:\n    pass\n"
        "from gptcli.system.peak_memory import peak_memory\nprint(peak_memory(), file=sys.stderr)"
    )
    given = tmp_path / "input"
    given.write_text(text)
    with given.open() as stdin:
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=child_environment,
            timeout=120,
            check=True,
        )
    assert int(done.stderr.split()[-1]) < most * 1_000_000
