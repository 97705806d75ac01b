"""``gptcli generate`` as a user meets it: options, pipes, a terminal, Ctrl-C, and models that are broken."""

import json
import math
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.cli.app import app
from gptcli.model.native import available
from gptcli.sampling.filters import FILTERS
from gptcli.system.bundled import bundled_folder
from gptcli.text import token_text
from tests.conftest import Run, command
from tests.gpt2_reference import random_gpt2
from tests.show.test_pick import on_terminal

TALES = bundled_folder() / "tales"
ORDER = [each.name for each in FILTERS]


def gptcli(*arguments: str, text: str | None = None, **options: Any) -> Result:
    """Run in this process; stdin is a pipe that holds ``text``."""
    return CliRunner().invoke(app, ["generate", *arguments], input=text, **options)


def records(*arguments: str, text: str | None = None) -> list[dict[str, Any]]:
    """What ``--json`` prints."""
    done = gptcli(*arguments, "--json", text=text)
    assert (done.exit_code, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


# Prompts and output


@pytest.mark.slow
def test_a_pipe_holds_only_text() -> None:
    done = gptcli("Once upon a time", "-n", "8", "--seed", "1")
    (record,) = records("Once upon a time", "-n", "8", "--seed", "1")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"Once upon a time{record['completion']}\n"
    assert gptcli("Once upon a time", "-n", "8", "--seed", "1", "--no-echo").stdout == f"{record['completion']}\n"
    assert len(record["ids"]) == 8


@pytest.mark.slow
def test_where_prompts_come_from(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes("One\r\n\nTwo \u2028 half\n  Three".encode())

    def prompts(*arguments: str, text: str | None = None) -> list[str]:
        return [record["prompt"] for record in records(*arguments, "-n", "0", text=text)]

    assert prompts("A", "B") == ["A", "B"]
    assert prompts(text="piped\n") == ["piped"]
    assert prompts("-", text="piped\n\n") == ["piped\n"]
    assert prompts("A", "-", text="piped") == ["A", "piped"]
    assert prompts("--prompts-file", str(file)) == ["One", "Two \u2028 half", "  Three"]
    assert prompts("A", "-", "--prompts-file", str(file), text="piped")[:3] == ["A", "piped", "One"]
    assert prompts("", text="unread") == [""]


@pytest.mark.slow
def test_an_empty_prompt_starts_from_end_of_text(tales: OpenCheckpoint) -> None:
    (record,) = records("", "-n", "3")
    assert record["prompt_ids"] == [50256]
    (record,) = records("The", "-n", "3", "--bos")
    assert record["prompt_ids"] == [50256, 464]
    assert records("The", "-n", "3")[0]["prompt_ids"] == [464]


@pytest.mark.slow
def test_json_can_be_repeated_and_checked_against_the_model(tales: OpenCheckpoint) -> None:
    first = records("A fox", "The king", "-n", "6", "-N", "2", "-t", "2", "--ignore-eos")
    assert [(record["prompt"], record["sample"]) for record in first] == [
        *(("A fox", 1), ("A fox", 2), ("The king", 1), ("The king", 2))
    ]
    assert len({record["seed"] for record in first}) == 1  # one was drawn
    assert len({tuple(record["ids"]) for record in first}) == 4
    for record in first:
        # With the seed that was reported, the samples of one prompt again.
        (again, *_) = records(
            *(record["prompt"], "-n", "6", "-t", "2", "--ignore-eos"),
            *("-N", str(record["sample"]), "--seed", str(record["seed"])),
        )[record["sample"] - 1 :]
        assert again["ids"] == record["ids"]
        assert set(record) == {
            *("schema", "model", "prompt", "completion", "prompt_ids", "ids", "logprobs", "finish_reason", "seed"),
            *("sample", "timings"),
        }
        ids = record["prompt_ids"] + record["ids"]
        with torch.inference_mode():
            logprobs = torch.log_softmax(tales.model(torch.tensor([ids]))[0].double(), dim=-1)
        expected = logprobs[range(len(record["prompt_ids"]) - 1, len(ids) - 1), record["ids"]]
        assert record["logprobs"] == pytest.approx(expected.tolist(), abs=1e-4)
        assert record["completion"] == tales.tokenizer.decode(record["ids"])


def test_no_seed_draws_another_each_time() -> None:
    assert records("The", "-n", "1")[0]["seed"] != records("The", "-n", "1")[0]["seed"]


@pytest.mark.slow
def test_jsonl_is_json_token_by_token() -> None:
    arguments = ("Once upon", "-n", "6", "--seed", "7", "-N", "2")
    lines = [json.loads(line) for line in gptcli(*arguments, "--jsonl").stdout.splitlines()]
    for record in records(*arguments):
        own = [line for line in lines if line["sample"] == record["sample"]]
        assert [line["id"] for line in own] == record["ids"]
        assert "".join(line["text"] for line in own) == record["completion"]
        assert [line["logprob"] for line in own] == pytest.approx(record["logprobs"], abs=1e-6)
        assert [line["finish_reason"] for line in own] == [None] * 5 + ["length"]
        assert {line["seed"] for line in own} == {7}


@pytest.mark.slow
def test_stats_are_on_stderr_only() -> None:
    done = gptcli("Once upon a time", "-n", "4", "--seed", "3", "--stats")
    assert done.stdout == gptcli("Once upon a time", "-n", "4", "--seed", "3").stdout
    assert done.stderr.count("\n") == 1
    for fact in ("4 prompt tokens", "4 new tokens", "tokens/s", "first token after", "peak memory", "seed 3"):
        assert fact in done.stderr


@pytest.mark.slow
def test_stats_say_why_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("Once upon a time", "-n", "2", "--stats", "--device", "cpu")
    assert "written by PyTorch" not in gptcli(*arguments).stderr or not available()
    monkeypatch.setenv("GPTCLI_NATIVE", "0")
    done = gptcli(*arguments)
    assert "written by PyTorch: the engine in C is switched off (GPTCLI_NATIVE=0)" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_every_way_of_choosing_reaches_the_text(tales: OpenCheckpoint) -> None:
    def ids(*arguments: str, n: int = 12, seed: int = 5) -> list[int]:
        made: list[int] = records("Once upon a time", "-n", str(n), "--seed", str(seed), *arguments)[0]["ids"]
        return made

    greedy = ids("-t", "0")
    assert ids("-k", "1") == ids("--top-p", "1e-9", "-k", "0") == ids("--min-p", "1") == greedy
    assert ids("-t", "1e-40") == greedy
    assert ids("--typical-p", "0.01") == ids("--typical-p", "0.01", seed=6)
    hot = ids("-t", "5", "-k", "0")
    assert hot != ids()
    assert ids("-t", "0", "--logit-bias", " dragon=+99", "--no-repeat-ngram", "1").count(10441) == 1
    assert ids("-t", "0", "--logit-bias", " dragon=+99", n=3) == [10441] * 3
    once = ids("-t", "0", "--no-repeat-ngram", "1", n=40)
    assert len(set(once)) == 40
    assert len(set(ids("-t", "0", "--repetition-penalty", "1e30", n=40))) == 40
    assert ids("-t", "0", "--dtype", "bfloat16", n=3)
    assert ids("-t", "0", "--device", "cpu") == greedy


def test_stop_and_end_of_text() -> None:
    (record,) = records("Once upon a time", "-n", "40", "-t", "0", "--stop", ",", "--stop", "zzz")
    assert record["finish_reason"] == "stop"
    assert "," not in record["completion"]
    end = ("--logit-bias", "<|endoftext|>=1e5")
    (record,) = records("A", "-n", "3", *end)
    assert (record["ids"], record["completion"], record["finish_reason"]) == ([50256], "", "eos")
    (record,) = records("A", "-n", "3", "--ignore-eos", *end)
    assert (record["ids"], record["finish_reason"]) == ([50256] * 3, "length")


@pytest.mark.slow
def test_the_edge_of_the_context() -> None:
    long = "the " * 600
    done = gptcli(long, "-n", "2", "--overflow", "stop")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert re.fullmatch(r"error: .*\b60\d tokens.*\b512\b.*--overflow slide.*\n", done.stderr)
    done = gptcli(long, "-n", "2", "--ignore-eos", "--json")
    assert done.exit_code == 0
    assert done.stderr.count("512") == done.stderr.count("\n") == 1
    assert json.loads(done.stdout)["finish_reason"] == "length"
    done = gptcli("the " * 509, "-n", "30", "--ignore-eos", "--overflow", "stop", "--json")
    record = json.loads(done.stdout)
    assert (record["finish_reason"], done.stderr) == ("length", "")
    assert len(record["ids"]) == 512 - len(record["prompt_ids"]) + 1


@pytest.mark.slow
def test_characters_that_stdout_cannot_hold(run_gptcli: Run) -> None:
    done = run_gptcli("generate", "caf\u00e9", "-n", "1", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"caf\\xe9")


def test_help_lists_the_filters_in_their_order() -> None:
    shown = gptcli("--help", env={"COLUMNS": "120"}).stdout
    places = [re.search(rf"--{name}\b", shown) for name in ORDER]
    starts = [place.start() for place in places if place is not None]
    assert len(starts) == len(ORDER)
    assert starts == sorted(starts)


# Looking inside

TEXT = ("Once upon a time there was a", "-n", "6", "--seed", "1")


@pytest.mark.slow
def test_explain_in_a_pipe_is_a_row_a_token(tales: OpenCheckpoint) -> None:
    (record,) = records(*TEXT)
    lines = gptcli(*TEXT, "--explain", env={"COLUMNS": "200"}).stdout.splitlines()
    assert lines[0] == "Once upon a time there was a ▁"
    assert lines[1].split()[:2] == ["position", "token"]
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3", "4", "5", "6"]
    for line, token, logprob in zip(lines[2:], record["ids"], record["logprobs"], strict=True):
        assert line.split()[1] == token_text(tales.tokenizer.token_bytes(token))
        assert float(line.split()[4].rstrip("%").lstrip(">")) == pytest.approx(100 * math.exp(logprob), abs=0.006)
    narrow = gptcli(*TEXT, "--explain", "--no-echo").stdout.splitlines()
    assert narrow[0] == lines[1]
    assert all(len(line) <= 80 and re.search(r"\+\d$", line) for line in narrow[1:])


def test_explain_keeps_several_texts_in_order() -> None:
    out = gptcli("A", "B", "-n", "2", "-N", "2", "--explain", "--seed", "1").stdout
    assert [line for line in out.splitlines() if line.endswith(" ▁")] == ["A ▁", "A ▁", "B ▁", "B ▁"]
    assert out.count("\n---\n") == 3
    assert gptcli("A", "-n", "0", "--explain").exit_code == 0


@pytest.mark.slow
def test_explain_as_json_changes_nothing_else() -> None:
    (plain,), (explained,) = records(*TEXT), records(*TEXT, "--explain", "--explain-top", "3")
    steps = explained.pop("steps")
    assert {**plain, "timings": None} == {**explained, "timings": None}
    assert [step["chosen"]["id"] for step in steps] == plain["ids"]
    assert {len(step["distribution"]["candidates"]) for step in steps} == {3}
    assert {(cut["filter"], cut["count"]) for step in steps for cut in step["cuts"]} == {("top-k", 50257 - 40)}
    lines = [
        json.loads(line) for line in gptcli(*TEXT, "--explain", "--explain-top", "3", "--jsonl").stdout.splitlines()
    ]
    assert [line["step"] for line in lines] == steps


@pytest.mark.slow
def test_explain_saves_a_picture(tmp_path: Path) -> None:
    done = gptcli(*TEXT, "--explain", "--save", str(tmp_path / "x.txt"))
    assert done.exit_code == 0
    saved = (tmp_path / "x.txt").read_text()
    assert saved.startswith("Once upon a time there was a\n·little ")
    assert re.search(r"\n +6 +\S+ +\S+% +\S+% +\d+ ", saved)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--explain-top", "3"), "--explain-top goes with --explain"),
        (("--save", "x.svg"), "--save goes with"),
        (("--explain", "--explain-top", "0"), "--explain-top"),
        (("--explain", "--save", "x.pdf"), "x.pdf"),
    ],
)
def test_options_that_miss_their_owner(arguments: Sequence[str], said: str) -> None:
    done = gptcli("A", "-n", "1", *arguments)
    assert done.exit_code == 2
    assert re.fullmatch(r"error: .+\n", done.stderr)
    assert said in done.stderr


@pytest.mark.slow
def test_keys_do_not_show_in_the_moving_picture(child_environment: dict[str, str]) -> None:
    with on_terminal(child_environment | {"COLUMNS": "200"}, "Once upon a time", "--explain", "-n", "400") as terminal:
        terminal.wait_for("token 3")
        terminal.send("xyzzy\x03")
        assert terminal.end() == 130
        assert "xyzzy" not in terminal.seen
        assert "^C" not in terminal.seen
        assert "Once upon a time" in terminal.seen


@pytest.mark.slow
def test_explain_on_a_terminal_ends_with_the_whole_text(child_environment: dict[str, str]) -> None:
    code, shown = on_a_terminal(*TEXT, "--explain", environment=child_environment)
    (record,) = records(*TEXT)
    assert code == 0
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor is back
    written = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    end = written[written.rindex(TEXT[0]) :]
    assert "".join(end.split("the model gave it")[0].split()) == "".join(
        ("".join(TEXT[0]) + record["completion"]).split()
    )
    assert f"token {len(record['ids'])}" in end


# The model


@pytest.mark.slow
def test_which_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = tmp_path / "mine"
    random_gpt2(vocab_size=50257, n_embd=64, n_head=1, n_layer=1, n_positions=64).save_pretrained(name)
    arguments = ("The", "-n", "4", "-t", "0", "--tokenizer", "gpt2")
    tales, mine = records(*arguments)[0]["ids"], records(*arguments, "-m", str(name))[0]["ids"]
    assert tales != mine
    assert records(*arguments, "--model", str(name / "model.safetensors"))[0]["ids"] == mine
    assert records(*arguments, "-m", "tales")[0]["ids"] == tales
    monkeypatch.setenv("GPTCLI_MODEL", str(name))
    assert records(*arguments)[0]["ids"] == mine
    assert records(*arguments, "-m", "tales")[0]["ids"] == tales
    (name / "config.json").unlink()
    done = gptcli(*arguments, "--json")
    assert json.loads(done.stdout)["ids"] == mine
    assert "inferred" in done.stderr
    assert gptcli(*arguments, "--n-head", "2", "--json").stdout != done.stdout


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "gpt2", "n_embd": "many"}')


def no_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def cut_short(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def not_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"PK\x03\x04" + bytes(100))


def empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def not_a_number(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.ln_f.weight"][3] = float("nan")
    save_file(tensors, folder / "model.safetensors")


def index_that_leaves(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"transformer.wte.weight": "../../etc/passwd"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    "broken",
    [broken_config, no_json, cut_short, not_safetensors, empty, not_a_number, index_that_leaves, only_a_pickle],
)
def test_a_broken_model_is_one_clear_line(broken: Callable[[Path], None], gpt2_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    random_gpt2(vocab_size=50257, n_embd=8, n_head=1, n_layer=1).save_pretrained(folder)
    broken(folder)
    done = gptcli("A", "-m", str(folder))
    assert (done.exit_code, done.stdout) == (1, "")
    assert re.fullmatch(r"error: .+\n", done.stderr)
    assert "broken" in done.stderr  # which folder it was


@pytest.mark.parametrize("name", ["no-such-model", "~nobody-of-that-name/x", "a" * 5000, "/dev/null", "\x1b[31m"])
def test_a_name_without_a_model_is_a_mistake_of_the_user(name: str) -> None:
    done = gptcli("A", "-m", name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "\x1b" not in done.stderr


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    done = gptcli("A", "-m", str(path))
    assert done.exit_code == 2
    assert "pickle" in done.stderr
    assert not Path("pwned").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--json", "--jsonl"), ("-n", "-1"), ("-N", "0"), ("--seed", str(2**64)), ("--seed", "-1")),
        *(("-t", "-1"), ("-t", "nan"), ("-t", "inf"), ("-k", "-1"), ("--top-p", "0"), ("--top-p", "1.1")),
        *(("--top-p", "nan"), ("--min-p", "-1"), ("--typical-p", "0"), ("--repetition-penalty", "0")),
        *(("--no-repeat-ngram", "-1"), ("--overflow", "jump"), ("--dtype", "int3"), ("--stop", "")),
        *(("--prompts-file", "/nowhere"), ("--logit-bias", "x")),
    ],
    ids=" ".join,
)
def test_options_out_of_range_are_one_line(arguments: Sequence[str]) -> None:
    done = gptcli("A", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.fullmatch(r"error: .+\n", done.stderr)
    assert re.search(r"--|/nowhere", done.stderr)


@pytest.mark.parametrize("data", [b"caf\xff", b"\x80"])
def test_stdin_that_is_no_text(data: bytes) -> None:
    done = CliRunner().invoke(app, ["generate"], input=data)
    assert done.exit_code == 2
    assert "UTF-8" in done.stderr


# The process


def on_a_terminal(*arguments: str, environment: dict[str, str]) -> tuple[int, str]:
    """Run with stdin, stdout and stderr on a terminal; what it shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(["generate", *arguments]),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"TERM": "xterm-256color", "COLUMNS": "80"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not data:
            break
        shown += data
        if b"any other key ends" in data:  # after --explain
            os.write(ours, b"q")
    os.close(ours)
    return process.wait(timeout=60), shown.decode().replace("\r\n", "\n")


@pytest.mark.slow
def test_no_prompt_at_a_terminal_starts_from_end_of_text(child_environment: dict[str, str]) -> None:
    code, shown = on_a_terminal("-n", "10", "--seed", "3", environment=child_environment)
    assert code == 0
    assert shown == gptcli("", "-n", "10", "--seed", "3").stdout


@pytest.mark.slow
def test_a_terminal_is_shown_text_and_never_obeys_it(child_environment: dict[str, str]) -> None:
    code, shown = on_a_terminal(
        *("Red \x1b[31m[bold]x", "-n", "4", "-k", "0", "--logit-bias", "\x1b=1e9"), environment=child_environment
    )
    assert code == 0
    # The prompt is told apart by style, and that style is the only escape sequence.
    assert shown == "\x1b[1mRed \\x1b[31m[bold]x\x1b[0m" + "\\x1b" * 4 + "\n"


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_written(child_environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        command(["generate", "Once upon a time", "-n", "100000", "--ignore-eos", "--seed", "1"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        bufsize=0,  # communicate() would not see what a buffer of ours has read ahead
        env=child_environment | {"PYTHONUNBUFFERED": "1"},  # so that the signal comes right after a write
    )
    assert process.stdout is not None
    first = process.stdout.read(60)  # it streams: this comes long before the end
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip() == b""
    written = (first + rest).decode()
    assert written.endswith("\n")
    # A slow reader lets many tokens through; each has a character at least.
    longer = gptcli("Once upon a time", "-n", str(len(written)), "--ignore-eos", "--seed", "1").stdout
    assert longer.startswith(written.removesuffix("\n"))


@pytest.mark.slow
def test_ctrl_c_while_the_model_loads(child_environment: dict[str, str]) -> None:
    script = (
        "import os, signal, sys, time\n"
        "from gptcli.checkpoint.open import OpenCheckpoint\n"
        "from gptcli.cli.app import main\n"
        "def slow(*_, **__):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
        "OpenCheckpoint.load_engine = slow\n"
        "sys.argv = ['gptcli', 'generate', 'A']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=child_environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, b"", b"")


@pytest.mark.slow
def test_ctrl_c_while_modules_are_imported(child_environment: dict[str, str]) -> None:
    script = (
        "import os, signal, sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'gptcli.cli.app':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from gptcli.__main__ import run\n"
        "sys.argv = ['gptcli', 'generate', 'A']\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env=child_environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("command", ["generate", "score", "logits"])
def test_bytes_that_are_no_text_are_refused(command: str) -> None:
    done = CliRunner().invoke(app, [command, "a\udcffb"])
    assert done.exit_code == 2
    assert "is not UTF-8" in done.stderr


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_it_quietly(child_environment: dict[str, str]) -> None:
    script = " ".join(command(["generate", "The", "-n", "100000", "--ignore-eos"])) + " | head -c 20"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        env=child_environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, len(done.stdout), done.stderr) == (0, 20, b"")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_a_full_disk_is_one_line(run_gptcli: Run) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run_gptcli("generate", "A", "-n", "2", stdout=full)
    assert done.returncode == 1
    assert re.fullmatch(rb"error: cannot write the output: .*\n", done.stderr)


@pytest.mark.slow
def test_closed_streams_are_no_bug(child_environment: dict[str, str]) -> None:
    script = " ".join(command(["generate", "A", "-n", "2", "--stats"])) + " <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", script], env=child_environment, timeout=60).returncode == 0
