"""``--lines`` of a pipe that stays open: whoever writes a line and waits has an answer to it."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.model.native.engine import NativeEngine
from gptcli.tokenizer import gpt2_tokenizer
from tests.conftest import command

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="select of a pipe")
LINES = ["The king and the", "Once upon a time", "café 😀"]
# Seconds for one answer, the first of which has all imports before it.
_BOUND_S = 60


class Coprocess:
    """A process that is written to and read from in turn."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment
        )
        self._held = b""

    def ask(self, text: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)

    def line(self) -> bytes:
        """The next line that it writes, within a bounded time."""
        assert self.process.stdout is not None
        while b"\n" not in self._held:
            ready, _, _ = select.select([self.process.stdout], [], [], _BOUND_S)
            assert ready, f"no answer; so far {self._held!r}"
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            assert data, f"it has ended; so far {self._held!r}"
            self._held += data
        line, _, self._held = self._held.partition(b"\n")
        return line

    def end(self) -> bytes:
        """The rest of what it writes once nothing more is asked."""
        rest, _ = self.process.communicate(timeout=_BOUND_S)
        assert self.process.returncode == 0
        return self._held + rest


@contextmanager
def coprocess(environment: dict[str, str], *arguments: str) -> Iterator[Coprocess]:
    made = Coprocess(arguments, environment)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


def alone(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.mark.slow
def test_each_line_is_scored_before_the_next_is_written(child_environment: dict[str, str]) -> None:
    with coprocess(child_environment, "score", "--lines", "--json") as asked:
        for number, line in enumerate(LINES, start=1):
            asked.ask(f"{line}\n".encode())
            answer = json.loads(asked.line())
            assert answer["line"] == number
            assert answer["logprob"] == pytest.approx(alone("score", line)["logprob"], rel=1e-5)
        asked.ask(b"half a")
        asked.ask(b" line\nand another")  # which has no newline, and is over with the pipe
        assert json.loads(asked.line())["line"] == 4
        assert json.loads(asked.end())["line"] == 5


@pytest.mark.slow
def test_lines_that_come_together_are_answered_together(child_environment: dict[str, str]) -> None:
    with coprocess(child_environment, "logits", "--lines", "--csv", "--top", "1") as asked:
        asked.ask("".join(f"{line}\r\n" for line in LINES).encode())
        assert asked.line().startswith(b"file,line,")
        assert [asked.line().split(b",")[1] for _ in LINES] == [b"1", b"2", b"3"]
        asked.ask(b"\n\n")  # empty lines are no texts
        asked.ask(b"The king\n")
        assert asked.line().split(b",")[1] == b"6"
        assert asked.end() == b""


@pytest.mark.slow
def test_each_line_is_continued_before_the_next_is_written(child_environment: dict[str, str]) -> None:
    settings = ("-n", "3", "--seed", "5")
    with coprocess(child_environment, "generate", "--lines", "--jsonl", *settings) as asked:
        for number, line in enumerate(LINES, start=1):
            asked.ask(f"{line}\n".encode())
            tokens = [json.loads(asked.line()) for _ in range(3)]
            assert [token["id"] for token in tokens] == alone("generate", line, *settings)["ids"]
            assert {token["prompt_number"] for token in tokens} == {number}
    with coprocess(child_environment, "generate", "--prompts-file", "-", *settings) as asked:
        asked.ask(b"The king\n")
        assert asked.line().startswith(b"The king")
        asked.ask(b"x\n")
        assert asked.line() == b"---"
        assert asked.line().startswith(b"x")
        assert asked.end() == b""


@pytest.mark.slow
def test_each_line_is_tokenized_before_the_next_is_written(child_environment: dict[str, str]) -> None:
    with coprocess(child_environment, "tokenize", "--lines", "--ids") as asked:
        for line in LINES:
            asked.ask(f"{line}\n".encode())
            assert list(map(int, asked.line().split())) == gpt2_tokenizer().encode(line)


@pytest.mark.slow
def test_a_file_goes_in_full_batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """64 lines at once, and what is left at the end."""
    sizes = []
    read = NativeEngine.prefill

    def counted(self: Any, texts: Any, *more: Any) -> Any:
        sizes.append(len(texts))
        return read(self, texts, *more)

    monkeypatch.setattr(NativeEngine, "prefill", counted)
    (tmp_path / "lines").write_text("a\n" * 150)
    done = CliRunner().invoke(app, ["logits", "--lines", "-f", str(tmp_path / "lines"), "--top", "1"])
    assert done.exit_code == 0
    assert sizes[-3:] == [64, 64, 22]
