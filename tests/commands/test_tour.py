"""``gptcli tour``: every stop runs, in a pipe one after another, on a terminal from key to key."""

import csv
import html
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.cli.tour import STOPS, our_words
from gptcli.errors import InputError
from gptcli.show.blocks.palette import LIGHT
from gptcli.show.tour import Stop
from gptcli.show.walk import Walk, paged
from tests.conftest import Run, command


@pytest.mark.slow
@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.title)
def test_each_stop_runs(stop: Stop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    alone = CliRunner().invoke(app, stop.arguments)
    assert alone.exit_code == 0, alone.output
    done = CliRunner().invoke(app, ["tour", "--stop", str(stop.number)])
    assert done.exit_code == 0, done.output
    assert f"$ {stop.command}\n" in done.stdout
    shown = done.stdout.split(f"$ {stop.command}\n")[1]
    assert shown.startswith(alone.stdout)  # what the command prints, and then one sentence that points at it
    said = shown.removeprefix(alone.stdout)
    assert said.startswith("▸ See ")
    assert "  " not in said
    assert max(map(len, done.stdout.replace(stop.command, "").splitlines())) <= 80 or stop.number == 19  # free text


def test_the_stops_are_the_chapters() -> None:
    assert [stop.number for stop in STOPS] == list(range(1, len(STOPS) + 1))
    assert len({stop.title for stop in STOPS}) == len({stop.command for stop in STOPS}) == len(STOPS)
    commands = {stop.arguments[0] for stop in STOPS}
    assert {"tokenize", "neighbors", "similarity", "analogy", "direction", "logits", "attention"} <= commands
    assert {"trace", "lens", "score", "params", "generate"} <= commands
    for stop in STOPS:
        assert 2 <= stop.text.count(". ") + stop.text.count("? ") + 1 <= 2, stop.title  # two sentences
        assert stop.command.startswith("gptcli ")


@pytest.mark.slow
def test_in_a_pipe_all_stops_follow_one_another(run_gptcli: Run) -> None:
    done = run_gptcli("tour", env={"COLUMNS": "80", "GPTCLI_MODEL": "/nowhere"})
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode()
    places = [shown.index(f"$ {stop.command}\n") for stop in STOPS]
    assert places == sorted(places)
    assert "\x1b" not in shown
    assert "Enter" not in shown
    assert done.stderr.decode() == "the tour goes through the bundled models; GPTCLI_MODEL is ignored\n"


def test_a_reader_that_goes_away_ends_it(child_environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        command(["tour"]),
        env=child_environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), said) == (0, b"")


def test_the_list_has_whole_commands_on_a_narrow_terminal() -> None:
    listed = CliRunner().invoke(app, ["tour", "--list", "--color", "always"], env={"COLUMNS": "60"})
    assert all(f"     {stop.command}\n" in listed.stdout for stop in STOPS)  # the terminal folds a line, and copies one


def test_the_list_and_json_run_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptcli.cli.commands.tour._run", lambda *_: pytest.fail("nothing runs"))
    listed = CliRunner().invoke(app, ["tour", "--list"], env={"COLUMNS": "200"})
    assert listed.exit_code == 0
    for stop in STOPS:
        assert f"{stop.number}  {stop.title}\n     {stop.command}\n" in listed.stdout
    done = CliRunner().invoke(app, ["tour", "--json", "--stop", "9"])
    assert [stop["command"] for stop in json.loads(done.stdout)["stops"]] == [STOPS[8].command]


@pytest.mark.parametrize("list_", [["--list"], []])
def test_the_list_as_a_table(list_: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("gptcli.cli.commands.tour._run", lambda *_: pytest.fail("nothing runs"))
    run = CliRunner()
    rows = list(csv.DictReader(io.StringIO(run.invoke(app, ["tour", *list_, "--csv"]).stdout, newline="")))
    assert [(row["number"], row["title"], row["command"]) for row in rows] == [
        (str(stop.number), stop.title, stop.command) for stop in STOPS
    ]
    listed = json.loads(run.invoke(app, ["tour", *list_, "--json"]).stdout)["stops"]
    assert [{name: str(value) for name, value in stop.items()} for stop in listed] == rows
    table = run.invoke(app, ["tour", *list_, "--md", "--stop", "2"]).stdout.splitlines()
    assert len(table) == 3
    assert table[0].startswith("| number | title | text | command |")
    assert "| gptcli neighbors tower --top 8 |" in table[2]
    for suffix in ("csv", "json", "md"):
        done = run.invoke(app, ["tour", *list_, "--save", str(tmp_path / f"tour.{suffix}")])
        assert done.exit_code == 0
        assert STOPS[0].title in (tmp_path / f"tour.{suffix}").read_text(encoding="utf-8")
    assert run.invoke(app, ["tour", "--csv", "--json"]).exit_code == 2


@pytest.mark.slow
def test_a_walk_is_saved_as_it_looks(tmp_path: Path, run_gptcli: Run) -> None:
    for suffix in (".txt", ".html", ".svg"):
        done = run_gptcli("tour", "--stop", "11", "--save", str(tmp_path / f"stop{suffix}"), env={"NO_COLOR": "1"})
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout.decode()
        saved = html.unescape((tmp_path / f"stop{suffix}").read_text(encoding="utf-8")).replace("\xa0", " ")
        assert (LIGHT.scale[-1] in saved.lower()) == (suffix != ".txt")  # the largest weight
        assert ("▓" in saved) == (suffix == ".txt")
        assert "Layer 6" in saved
    done = run_gptcli("tour", "--stop", "2", "--json", "--save", str(tmp_path / "stop.txt"))
    assert [stop["title"] for stop in json.loads(done.stdout)["stops"]] == ["Embeddings"]
    assert "towers" in (tmp_path / "stop.txt").read_text(encoding="utf-8")
    assert run_gptcli("tour", "--save", str(tmp_path / "stop.pdf")).returncode == 2


@pytest.mark.parametrize("number", ["0", "-1", str(len(STOPS) + 1)])
def test_a_stop_that_is_not_there(number: str) -> None:
    done = CliRunner().invoke(app, ["tour", "--stop", number])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"1 to {len(STOPS)}" in done.stderr


class Terminal:
    """A tour on a pseudo-terminal: keys go in, and what is shown comes out."""

    def __init__(self, process: "subprocess.Popen[bytes]", end: int) -> None:
        self.process, self._end, self.shown = process, end, ""

    def type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Read on until this is shown behind what has been waited for before."""
        self.shown = ""
        limit = time.monotonic() + seconds
        while text not in self.shown:
            assert select.select([self._end], [], [], max(limit - time.monotonic(), 0))[0], self.shown
            self.shown += os.read(self._end, 4096).decode()


@contextmanager
def on_a_terminal(environment: dict[str, str]) -> Iterator[Terminal]:
    """The tour on a terminal of 80 columns and 40 lines."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        command(["tour"]),
        env=environment | {"COLUMNS": "80", "LINES": "40", "TERM": "xterm", "GPTCLI_THEME": "dark"},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.slow
def test_keys_lead_on_back_elsewhere_and_out(child_environment: dict[str, str]) -> None:
    with on_a_terminal(child_environment) as terminal:
        terminal.wait_for("q leave")
        assert "b back" not in terminal.shown
        assert "▸ See the numbers under the tokens" in terminal.shown
        terminal.type("x\r")  # x says nothing
        terminal.wait_for("2/20  Enter next  b back  e edit  ? help  q leave")
        assert STOPS[1].title in terminal.shown
        terminal.type("b")
        terminal.wait_for("1/20  Enter next")
        assert STOPS[0].title in terminal.shown
        terminal.type("3")  # no longer number begins with 3
        terminal.wait_for("3/20  Enter next")
        assert STOPS[2].title in terminal.shown
        terminal.type("?")
        terminal.wait_for("q leave")
        assert "▸  3  Similarity" in terminal.shown
        assert all(stop.title[:20] in terminal.shown for stop in STOPS)
        terminal.type("1\r")
        terminal.wait_for("1/20  Enter next")
        terminal.type("18")
        terminal.wait_for("18/20")
        assert STOPS[17].title in terminal.shown
        terminal.type("q")
        assert terminal.process.wait(timeout=20) == 0


@pytest.mark.slow
def test_an_edited_command_runs_in_place(child_environment: dict[str, str]) -> None:
    with on_a_terminal(child_environment) as terminal:
        terminal.wait_for("q leave")
        terminal.type("e")
        terminal.wait_for('hum at midnight"')  # the command is there to be edited
        terminal.type("\x15gptcli tokenize 'one two three'\r")
        terminal.wait_for("q leave")
        assert "3 words are 3 tokens; each is a word." in terminal.shown
        terminal.type("e")
        terminal.wait_for("three'")  # and the edited one is kept
        terminal.type("\x15gptcli tokenize hi | rm -r x\r")
        terminal.wait_for("q leave")
        assert "| is for a shell" in terminal.shown
        terminal.type("e")
        terminal.wait_for("rm -r x")
        terminal.type("\x15gptcli logits x -m nowhere\r")
        terminal.wait_for("q leave")
        assert "error: " in terminal.shown
        terminal.type("q")
        assert terminal.process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gptcli tokenize 'a b'", ["tokenize", "a b"]),
        ('logits "The king" -t 0,1', ["logits", "The king", "-t", "0,1"]),
        ('gptcli map "man->woman"', ["map", "man->woman"]),
        ("gptcli analogy king-man+woman", ["analogy", "king-man+woman"]),
        ("gptcli tokenize $(ls) `x` ~ *", ["tokenize", "$(ls)", "`x`", "~", "*"]),
    ],
)
def test_a_line_is_words_of_ours(line: str, words: list[str]) -> None:
    assert our_words(line) == words


@pytest.mark.parametrize("line", ["", "gptcli", "gptcli tokenize x > y", "a; b", "a && b", "gptcli 'x", "gptcli tour"])
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(InputError):
        our_words(line)


@given(st.integers(0, 30), st.integers(0, 90), st.integers(0, 3), st.integers(12, 60))
def test_pages_hold_everything_in_order_and_fit(head: int, body: int, foot: int, room: int) -> None:
    parts = [[f"{name}{index}" for index in range(count)] for name, count in (("h", head), ("b", body), ("f", foot))]
    if head >= room:
        return
    pages = list(paged(parts[0], parts[1], parts[2], room))
    assert [line for page in pages for line in page] == [line for part in parts for line in part]
    assert all(len(page) + (number > 0) <= room for number, page in enumerate(pages))
    if body + foot < room:  # a picture that fits on a page is on one
        assert len(pages) <= 2


def test_a_picture_of_several_pages_is_cut_where_a_part_of_it_begins() -> None:
    body = ["a"] * 6 + ["\x1b[2m \x1b[0m"] + ["b"] * 6 + [""] + ["c"] * 9 + ["┌─┐"] + ["d"] * 7
    pages = list(paged(["h"] * 3, body, ["f"], 14))
    assert [sum(line in {"a", "b", "c", "d"} for line in page) for page in pages] == [6, 6, 9, 7]
    assert pages[3][0] == "┌─┐"
    assert pages[3][-1] == "f"
    assert list(map(len, paged([], ["x"] * 30, [], 14))) == [14, 13, 3]  # one part is cut anywhere


def test_the_last_page_of_a_picture_repeats_the_parts_that_fit() -> None:
    body = ["a"] * 6 + [""] + ["b"] * 6 + [""] + ["c"] * 3
    pages = list(paged(["h"] * 3, body, ["f"], 14))
    assert pages == [["h"] * 3 + ["a"] * 6 + [""], ["b"] * 6 + [""] + ["c"] * 3 + ["f"]]
    assert list(paged(["h"] * 7, body, ["f"], 14))[-1] == pages[-1]
    assert list(paged(["h"] * 3, [*body, *"dd"], ["f"], 14))[-1] == [*"bbbbbb", "", *"cccdd", "f"]
    assert list(paged(["h"] * 3, [*body, *"ddd"], ["f"], 14))[-1] == [*"cccddd", "f"]


@pytest.mark.slow
def test_pages_of_every_stop_fit_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns and 24 lines."""
    height = 24
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", str(height))
    pages: dict[int, int] = {}
    shown: list[list[str]] = []
    monkeypatch.setattr(Walk, "_written", lambda self, lines: shown.append(list(lines)))
    monkeypatch.setattr(Walk, "_asked", lambda self, index, page="": "next")

    def run(line: str) -> None:
        done = CliRunner().invoke(app, our_words(line))
        sys.stdout.write(done.stdout)

    for stop in STOPS[:18]:
        shown.clear()
        Walk([stop], run, total=20)._at(0)
        pages[stop.number] = len(shown)
        assert all(len(page) + (number > 0) < height for number, page in enumerate(shown)), stop.title
    assert max(pages.values()) <= 4


def test_the_pace_is_kept_line_by_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    waited: list[float] = []
    monkeypatch.setattr("gptcli.show.walk.sleep", waited.append)
    monkeypatch.setattr(Walk, "_asked", lambda self, index, page="": "leave")
    Walk(STOPS[:1], lambda line: print("one\ntwo"), total=20, pace=0.25)._at(0)
    shown = capsys.readouterr().out
    assert "one\ntwo" in shown
    assert set(waited) == {0.25}
    assert len(waited) == len(shown.strip().splitlines()) - 1  # without the move to the top


def test_writing_keeps_the_pace_too(monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[str] = []
    monkeypatch.setattr(Walk, "_asked", lambda self, index, page="": "leave")
    writing = next(stop for stop in STOPS if stop.arguments[0] == "generate")
    Walk([writing], run.append, total=20, pace=0.25)._at(0)
    Walk([writing], run.append, total=20)._at(0)
    assert run == [f"{writing.command} --pace 0.25", writing.command]


def test_a_long_command_leaves_its_heading_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "20")
    shown: list[list[str]] = []
    monkeypatch.setattr(Walk, "_written", lambda self, lines: shown.append(list(lines)))
    monkeypatch.setattr(Walk, "_asked", lambda self, index, page="": "next")
    stop = Stop(1, "A title", "Text.", "gptcli tokenize " + "x" * 100)
    Walk([stop], lambda line: print("y\n" * 30), total=1)._at(0)
    for page in shown:
        assert sum(-(-max(len(line), 1) // 40) for line in page) < 20


def test_a_worksheet_has_questions_and_computed_answers() -> None:
    done = CliRunner().invoke(app, ["tour", "--worksheet", "--stop", "4"])
    assert done.exit_code == 0
    questions, answers = done.stdout.split("# Answers")
    assert STOPS[3].question in questions
    assert STOPS[3].command in questions
    assert "queen is the nearest" in answers
    assert "queen" not in questions.replace(STOPS[3].text, "")
    assert all(stop.question[-1] in "?." and stop.answer.endswith(".") for stop in STOPS)


def test_the_list_is_not_folded_in_a_pipe() -> None:
    listed = CliRunner().invoke(app, ["tour", "--list"], env={"COLUMNS": "60"}).stdout
    assert all(f"     {stop.command}\n" in listed for stop in STOPS)


@pytest.mark.slow
def test_ctrl_c_leaves_with_its_code(child_environment: dict[str, str]) -> None:
    with on_a_terminal(child_environment) as terminal:
        terminal.wait_for("q leave")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(timeout=20) == 130
