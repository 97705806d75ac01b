"""``gptcli chat`` as a user meets it: through a pipe, and on a terminal with Ctrl-C, Ctrl-D and commands."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gptcli.cli.app import app
from tests.conftest import Run, command
from tests.show.test_pick import on_terminal


def chat(*arguments: str, text: str | bytes = "") -> Result:
    return CliRunner().invoke(app, ["chat", "-n", "12", "--seed", "1", *arguments], input=text)


def answers(*arguments: str, text: str) -> list[dict[str, Any]]:
    done = chat(*arguments, "--json", text=text)
    assert (done.exit_code, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_pipe_holds_the_answers_and_nothing_else() -> None:
    done = chat(text="Hello\n\n  \nWho is there?")
    said = answers(text="Hello\nWho is there?\n")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "".join(f"{each['assistant']}\n" for each in said)
    assert [each["user"] for each in said] == ["Hello", "Who is there?"]
    assert [each["sample"] for each in said] == [1, 2]
    assert all(len(each["ids"]) == len(each["logprobs"]) <= 12 for each in said)
    assert chat(text="").stdout == ""


@pytest.mark.slow
def test_it_answers_before_the_next_line_is_there(child_environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        command(["chat", "-n", "3", "--json"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for line in (b"Hello\n", b"And you?\n"):
        process.stdin.write(line)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["user"] == line.decode().strip()
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    process.stdout.close()


@pytest.mark.slow
def test_the_scene_and_the_names_make_the_prompt() -> None:
    arguments = ("--system", "A wolf meets a pig.", "--user", "Pig", "--assistant", "Wolf")
    done = chat(*arguments, text="Hello\n/prompt\n")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    start = lines.index("│ A wolf meets a pig.")
    assert lines[start + 1 : start + 3] == ["│", "│ Pig: Hello"]
    assert lines[start + 3].startswith("│ Wolf: ")
    assert "│ Wolf:" in lines[start + 4 :]
    assert re.fullmatch(r"the model sees \d+ tokens, of a context of 512", lines[-1])
    assert chat("--format", "eos", text="/prompt\n").stdout.strip().startswith("the model sees 0 tokens")


@pytest.mark.slow
def test_what_has_fallen_out_is_marked() -> None:
    line = "the " * 120
    done = chat("--format", "eos", text=f"{line}\n" * 5 + "/prompt\n")
    assert done.exit_code == 0
    assert done.stderr.count("fallen out") == 1
    assert re.search(r"^✗ the the", done.stdout, re.MULTILINE)
    assert re.search(r"^│ the the", done.stdout, re.MULTILINE)
    assert re.search(r"\d+ have fallen out \(✗\)", done.stdout)


@pytest.mark.slow
def test_commands_in_a_pipe(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    saving = (f"/save {file}", f"/save {tmp_path / 'x.txt'}")
    lines = ("Hello", "/temperature 0", "/temperature", "//slash", *saving, "/reset", "Hello", "/quit", "unread")
    done = chat(text="\n".join(lines))
    assert done.exit_code == 0
    assert done.stderr.count("temperature 0\n") == 2
    saved = json.loads(file.read_text())
    assert [turn["text"] for turn in saved["turns"]][::2] == ["Hello", "/slash"]
    assert saved["seed"] == 1
    assert saved["sampling"]["temperature"] == 0
    assert saved["format"] == {"kind": "script", "user": "User", "assistant": "Assistant"}
    assert "User: /slash\n" in (tmp_path / "x.txt").read_text()
    greedy = answers("-t", "0", text="Hello\n")
    assert done.stdout.endswith(greedy[0]["assistant"] + "\n")
    assert "/temperature T" in chat(text="/help\n").stderr


def test_saved_at_the_end(tmp_path: Path) -> None:
    assert chat("--save", str(tmp_path / "x.html"), text="Hello\n").exit_code == 0
    assert "Hello" in (tmp_path / "x.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        ((), "/dance\n", "/dance"),
        ((), "/temperature hot\n", "/temperature hot"),
        ((), "/temperature -1\n", "--temperature -1"),
        ((), "/save x.pdf\n", ".json"),
        ((), b"caf\xff\n", "line 1 of stdin is not UTF-8"),
        (("--user", ""), "", "--user"),
        (("--user", "Assistant"), "", "both"),
        (("--system", "the " * 600), "", "--system takes"),
        (("--save", "x.pdf"), "", "--save x.pdf"),
        (("--save", "/nowhere/at/all.txt"), "", "there is no folder /nowhere/at"),
        (("-t", "nan"), "", "--temperature"),
        (("-n", "0"), "", "--max-new-tokens"),
        (("-m", "no-such-model"), "", "no-such-model"),
        (("--logit-bias", "x"), "", "--logit-bias"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments: Sequence[str], text: str | bytes, said: str) -> None:
    done = chat(*arguments, text=text)
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.fullmatch(r"error: .+\n", done.stderr)
    assert said in done.stderr


@pytest.mark.slow
def test_on_a_terminal(child_environment: dict[str, str], tmp_path: Path) -> None:
    with on_terminal(child_environment, "-n", "500", "--seed", "1", "--ignored", name="chat") as terminal:
        assert terminal.end() == 2
    with on_terminal(child_environment, "-n", "500", "--logit-bias", "<|endoftext|>=-inf", name="chat") as terminal:
        terminal.wait_for("User: ")
        terminal.send("Tell me a story\r")
        terminal.wait_for("Assistant: ")
        terminal.send("\x03")  # stops the answer
        terminal.wait_for("User: ")
        terminal.send("/temperature hot\r")
        terminal.wait_for("error: /temperature hot")
        terminal.wait_for("User: ")
        terminal.send("/prompt\r")
        terminal.wait_for("User: Tell me a story")
        terminal.wait_for("the model sees")
        terminal.wait_for("User: ")
        terminal.send(f"/save {tmp_path / 'talk.json'}\r")
        terminal.wait_for("saved")
        terminal.wait_for("User: ")
        terminal.send("\x04")
        assert terminal.end() == 0
    (_, answer) = json.loads((tmp_path / "talk.json").read_text())["turns"]
    assert answer["finish_reason"] == "interrupted"


@pytest.mark.slow
def test_what_is_typed_during_an_answer_waits_for_the_prompt(child_environment: dict[str, str]) -> None:
    arguments = ("-n", "25", "--seed", "1", "--logit-bias", "<|endoftext|>=-inf", "--user", "Me")
    with on_terminal(child_environment, *arguments, name="chat") as terminal:
        terminal.wait_for("Me: ")
        terminal.send("Tell me a story\r")
        terminal.wait_for("Assistant: ")
        terminal.send("/temperature\r\x04")
        assert terminal.end() == 0  # with the Ctrl-D
        answer, _, rest = terminal.seen.partition("Me: ")
        assert "/temperature" not in answer  # which nothing disturbs
        assert "temperature 0.8" in rest


@pytest.mark.slow
def test_ctrl_c_at_the_prompt_leaves(child_environment: dict[str, str]) -> None:
    with on_terminal(child_environment, name="chat") as terminal:
        terminal.wait_for("User: ")
        time.sleep(0.5)  # what comes between the prompt and its reading, Python's readline hears with the next key only
        terminal.send("\x03")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.seen


@pytest.mark.slow
def test_ctrl_c_in_a_pipe_ends_it(child_environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        command(["chat", "-n", "500", "--logit-bias", "<|endoftext|>=-inf"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"Tell me a story\n")
    process.stdin.flush()
    process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.strip()) == (130, b"")


@pytest.mark.slow
def test_control_characters_are_not_obeyed(child_environment: dict[str, str]) -> None:
    with on_terminal(child_environment, "-n", "2", "--logit-bias", "\x1b=1e9", name="chat") as terminal:
        terminal.wait_for("User: ")
        terminal.send("x\r")
        terminal.wait_for("Assistant: \\x1b\\x1b")
        terminal.wait_for("User: ")
        terminal.send("\x04")
        assert terminal.end() == 0


@pytest.mark.slow
def test_dialogpt_by_its_config(run_gptcli: Run, tmp_path: Path) -> None:
    from tests.gpt2_reference import random_gpt2

    random_gpt2(vocab_size=50257, n_embd=8, n_head=1, n_layer=1, n_positions=64).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["task_specific_params"] = {"conversational": {"max_length": 1000}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = run_gptcli("chat", "-m", str(tmp_path), "-n", "3", input=b"Hello\n/prompt\n")
    assert done.returncode == 0
    assert "│ Hello<|endoftext|>" in done.stdout.decode()
