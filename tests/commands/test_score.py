"""``gptcli score`` against transformers' loss."""

import copy
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.probability.scoring import reread, score
from gptcli.show.score import draw
from gptcli.tokenizer import gpt2_tokenizer
from tests.conftest import Run
from tests.show.test_pick import on_terminal

GPT2 = gpt2_tokenizer()
TEXT = "Once upon a time there was a little girl named Lily. She loved the sea and the refrigerator.\n"
LONG = TEXT * 40  # about 900 tokens; the context is 512


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, ["score", *arguments], input=text)


def answer(*arguments: str, text: str | None = None) -> dict[str, Any]:
    done = run(*arguments, "--json", text=text)
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_the_sum_is_transformers_loss(tales_reference: Any) -> None:
    got = answer(TEXT)
    ids = torch.tensor([[token["id"] for token in got["tokens"]]])
    with torch.inference_mode():
        loss = float(tales_reference(ids, labels=ids).loss)
    assert got["scored"] == ids.shape[1] - 1
    assert -got["logprob"] / got["scored"] == pytest.approx(loss, abs=1e-4)
    assert got["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    first = len(TEXT.split()[0].encode())
    assert got["bits_per_byte"] == pytest.approx(loss * got["scored"] / math.log(2) / (len(TEXT) - first), abs=1e-4)


@pytest.mark.slow
def test_each_token_has_its_probability(tales_reference: Any) -> None:
    tokens = answer(TEXT)["tokens"]
    assert tokens[0]["probability"] is None
    ids = torch.tensor([[token["id"] for token in tokens]])
    exact = copy.deepcopy(tales_reference).double()  # float32 of its own would be off by as much as is allowed here
    with torch.inference_mode():
        logprobs = exact(ids).logits[0].log_softmax(-1)
    for place, token in enumerate(tokens[1:]):
        expected = logprobs[place, token["id"]]
        assert token["probability"] == pytest.approx(float(expected.exp()), abs=1e-6)
        assert token["surprisal_bits"] == pytest.approx(-float(expected) / math.log(2), abs=1e-4)
        assert token["rank"] == int((logprobs[place] > expected).sum()) + 1


def test_8_bits_cost_a_little() -> None:
    exact, rounded = answer(TEXT), answer("--quantize", "int8", TEXT)
    assert rounded["bits_per_token"] != exact["bits_per_token"]
    assert rounded["bits_per_token"] == pytest.approx(exact["bits_per_token"], rel=0.01)


def test_bos_scores_the_first_token_too(tales_reference: Any) -> None:
    got = answer("--bos", "The king")
    ids = torch.tensor([[50256, *(token["id"] for token in got["tokens"])]])
    with torch.inference_mode():
        loss = float(tales_reference(ids, labels=ids).loss)
    assert got["scored"] == len(got["tokens"]) == 2
    assert -got["logprob"] == pytest.approx(2 * loss, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [100, 256, 511, 512])
def test_long_texts_go_through_in_windows(tales_reference: Any, stride: int) -> None:
    got = answer("--stride", str(stride), text=LONG)
    ids = torch.tensor([token["id"] for token in got["tokens"]])
    total, done = 0.0, 1
    for start in range(0, len(ids), min(stride, 511)):  # the windows, worked out once more
        window = ids[start : start + 512]
        with torch.inference_mode():
            logits = tales_reference(window[None]).logits[0]
        new = range(max(done, start + 1) - start, len(window))
        before = logits[new.start - 1 : new.stop - 1]
        chosen = before.gather(1, window[new.start : new.stop, None])[:, 0]
        total += float((chosen - before.logsumexp(-1)).double().sum())
        done = max(done, start + len(window))
        if done == len(ids):
            break
    assert got["scored"] == len(ids) - 1
    assert got["logprob"] == pytest.approx(total, abs=1e-2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("x",), "--bos"), (("",), "--bos"), ((TEXT, "--stride", "513"), "512"), ((TEXT, "--stride", "0"), "--stride")],
)
def test_mistakes_are_one_line_and_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_the_newline_of_echo_is_no_token() -> None:
    piped = CliRunner().invoke(app, ["score", "--json"], input=f"{TEXT}\n")
    assert json.loads(piped.stdout)["tokens"] == answer(TEXT)["tokens"]


def test_the_picture_lists_the_most_surprising(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run(TEXT, "--top", "3")
    assert done.exit_code == 0
    assert "refrigerator" in done.stdout
    assert "perplexity" in done.stdout


def test_without_colour_each_token_stands_above_its_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    strip = run(TEXT, "--top", "3").stdout.split("below each token")[0].splitlines()
    tokens = answer(TEXT)["tokens"]
    below = [figure for line in strip[1::3] for figure in line.split()]
    assert below == ["–", *(f"{token['surprisal_bits']:.1f}" for token in tokens[1:])]
    assert all(len(line) <= 40 for line in strip)


def test_with_colour_lines_break_between_tokens(tales: Any) -> None:
    out = io.StringIO()
    console = Console(file=out, width=40, force_terminal=True, color_system="truecolor")
    console.print(draw(score(tales, TEXT), 3))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).split("surprisal")[0].splitlines()
    assert len(lines) > 2
    assert all(len(line.rstrip()) <= 40 for line in lines)
    words = TEXT.strip().split()
    assert all(any(word in line for line in lines) for word in words)  # none is cut in two


@pytest.mark.slow
@pytest.mark.parametrize("width", [30, 40, 60])
def test_a_narrow_terminal_cuts_no_figure(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = run(TEXT, "--top", "3").stdout
    assert ("…" in shown) == (width == 30)  # of a long name
    for token in sorted(answer(TEXT)["tokens"][1:], key=lambda token: -token["surprisal_bits"])[:3]:
        assert f"{token['surprisal_bits']:.2f}" in shown


@pytest.mark.slow
def test_a_bar_shows_how_far_it_is_and_goes(child_environment: dict[str, str]) -> None:
    with on_terminal(child_environment, LONG, "--top", "2", name="score") as terminal:
        terminal.wait_for("scoring")
        assert terminal.end() == 0
        assert "perplexity" in terminal.seen


@pytest.mark.slow
def test_a_pipe_is_read_and_gets_no_bar(run_gptcli: Run) -> None:
    done = run_gptcli("score", "--top", "2", input=LONG.encode())
    assert done.returncode == 0
    assert done.stderr.count(b"\n") == 1  # what is read twice
    assert b"perplexity" in done.stdout


LINES = ["Once upon a time there was a little girl.", "The king", "x", "The refrigerator sang: café!", TEXT.strip() * 3]


def rows(*arguments: str, text: str | None = None) -> list[dict[str, Any]]:
    done = run(*arguments, "--json", text=text)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_lines_are_scored_like_texts(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("\r\n".join(["", *LINES, ""]), newline="")
    got = rows("--lines", "-f", str(file))
    assert [(each["file"], each["line"]) for each in got] == [(str(file), number) for number in range(2, 7)]
    assert [each["scored"] for each in got][2] == 0
    assert got[2]["perplexity"] is None
    for each, line in zip(got, LINES, strict=True):
        if line == "x":
            continue
        alone = answer(line)
        assert [token["id"] for token in each["tokens"]] == [token["id"] for token in alone["tokens"]]
        assert [token["rank"] for token in each["tokens"]] == [token["rank"] for token in alone["tokens"]]
        assert each["logprob"] == pytest.approx(alone["logprob"], abs=1e-4)


@pytest.mark.slow
def test_lines_of_a_pipe_are_transformers_losses(tales_reference: Any) -> None:
    got = rows("--lines", "--summary", text="\n".join(LINES))
    for each in got:
        ids = torch.tensor([GPT2.encode(each["text"])])
        assert each["n_tokens"] == ids.shape[1]
        if each["scored"]:
            with torch.inference_mode():
                loss = float(tales_reference(ids, labels=ids).loss)
            assert each["bits"] == pytest.approx(loss * each["scored"] / math.log(2), abs=1e-3)
            assert each["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)


@pytest.mark.slow
def test_rows_have_a_total_and_fixed_widths(tmp_path: Path) -> None:
    done = run("--lines", text="\n".join(LINES))
    heading, *table, total = done.stdout.splitlines()
    assert heading == "  tokens          bits  bits/byte    perplexity  text"
    assert [line[49:] for line in table] == [line[:200] + "…" * (len(line) > 200) for line in LINES]
    bits = [float(line[10:22].replace("–", "0").replace(",", "")) for line in table]
    assert float(total[10:22]) == pytest.approx(sum(bits), abs=0.03)
    scored = sum(max(len(GPT2.encode(line)) - 1, 0) for line in LINES)
    assert float(total[35:47]) == pytest.approx(2 ** (sum(bits) / scored), rel=1e-3)
    assert done.stderr == "1 of the texts has no token to score: it takes two, or one and --bos\n"
    for name, line in zip("abc", LINES, strict=False):
        (tmp_path / name).write_text(f"{line}\n")
    files = [argument for name in "abc" for argument in ("-f", str(tmp_path / name))]
    assert [line[49:] for line in run("--summary", *files).stdout.splitlines()][1:-1] == files[1::2]
    assert run("--summary", "-f", str(tmp_path / "a")).stdout.splitlines()[1] == table[0][:49] + str(tmp_path / "a")


def test_a_file_is_the_text_of_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(TEXT.encode() + b"\r\n")
    assert answer("-f", str(tmp_path / "text"))["tokens"] == answer(TEXT)["tokens"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--lines", TEXT), "no TEXT to give"),
        (("-f", "x", TEXT), "no TEXT to give"),
        (("--lines", "-f", "/nowhere"), "cannot read /nowhere: No such file"),
        (("-f", "/"), "Is a directory"),
        (("--lines", "--save", "x.svg"), "--save"),
        (("--no-overlap", "--stride", "4", TEXT), "contradict"),
    ],
)
def test_mistakes_with_files(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"good line\nb\xffd\n")
    done = run("--lines", "-f", str(tmp_path / "bad"))
    assert done.exit_code == 2
    assert f"line 2 of {tmp_path / 'bad'} is not UTF-8: byte 0xff at offset 1" in done.stderr


def test_the_default_tells_what_it_reads_twice() -> None:
    assert reread(512, 512, 256) == 0
    assert reread(513, 512, 256) == 256
    assert reread(1379, 512, 256) == 4 * 256
    assert reread(1379, 512, 512) == 2
    # By hand: the windows of ``score`` read 0-512, 256-768, ... until one reaches the end.
    windows = [range(start, min(start + 512, 1379)) for start in (0, 256, 512, 768, 1024)]
    assert sum(map(len, windows)) - 1379 == reread(1379, 512, 256)


@pytest.mark.slow
def test_a_long_text_tells_that_it_is_read_twice() -> None:
    done = run("--summary", text=LONG)
    assert "more than the context of 512" in done.stderr
    assert "--no-overlap" in done.stderr
    once = run("--summary", "--no-overlap", "--json", text=LONG)
    assert once.stderr == ""
    assert json.loads(once.stdout)["bits"] == pytest.approx(
        -answer("--stride", "511", text=LONG)["logprob"] / math.log(2), rel=1e-5
    )


@pytest.mark.slow
def test_a_terminal_gets_the_beginning_of_a_long_text(child_environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "long").write_text(LONG)
    arguments = ("-f", str(tmp_path / "long"), "--no-overlap", "--top", "2")
    with on_terminal(child_environment, *arguments, name="score") as terminal:
        terminal.wait_for("Once")
        assert terminal.end() == 0
        assert "and more of the text (| less -R shows it, --save FILE keeps it)" in terminal.seen
        assert terminal.seen.count("refrigerator") < 20
