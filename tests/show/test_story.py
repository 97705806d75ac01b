"""A text while it is written: what is out at every moment, and what an interrupt leaves."""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gptcli.generation.loop import Limits
from gptcli.generation.writing import Request, Writing
from gptcli.sampling.settings import Sampling
from gptcli.show import story
from gptcli.show.terminal.interrupt import Interrupt
from gptcli.system.peak_memory import peak_memory
from gptcli.tokenizer import RankTokenizer
from tests.toy_engine import ToyEngine, chain

# Letters a to h are tokens 0 to 7, 8 to 10 are the bytes of €, 11 is a newline.
TOKENS = [*(bytes([byte]) for byte in b"abcdefgh"), b"\xe2", b"\x82", b"\xac", b"\n"]
OTHERS = [bytes([byte]) for byte in range(256) if bytes([byte]) not in TOKENS]
TAB = len(TOKENS) + OTHERS.index(b"\t")
LETTERS = RankTokenizer("letters", {data: rank for rank, data in enumerate([*TOKENS, *OTHERS])}, r"[\s\S]")


def writing(prompts: Sequence[str], order: Sequence[int], n: int = 8, **options: Any) -> Writing:
    """A writing in which each token is followed by the next in ``order``."""
    limits = Limits(n, options.pop("eos", ()), options.pop("overflow", "slide"))
    engine = ToyEngine(chain(order, 256), options.pop("n_positions", 1000))
    request = Request(prompts, Sampling(temperature=0), limits, seed=5, **options)
    return Writing(engine, LETTERS, request, n_vocab=256)


def shown(made: Writing, capsys: pytest.CaptureFixture[str], output: str | None = None, *, echo: bool = True) -> str:
    story.write(made, story.writer_for(made, output, echo=echo))
    return capsys.readouterr().out


def test_prompt_and_continuation_and_one_newline_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(writing(["a"], [*range(8)]), capsys) == "abcdefgha\n"
    assert shown(writing(["a"], [*range(8)]), capsys, echo=False) == "bcdefgha\n"
    assert shown(writing(["a"], [0, 11], n=3), capsys) == "a\na\n"  # one that ends in a newline gets no second
    assert shown(writing(["a"], [0, 1], n=0), capsys) == "a\n"
    assert shown(writing(["a"], [0, 1], n=0), capsys, echo=False) == ""


def test_a_tab_is_left_to_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Which knows in which column it stands."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert shown(writing(["a"], [0, 1, TAB], n=2), capsys).endswith("b\t\n")


def test_several_texts_stand_apart_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    made = writing(["g", "a"], [*range(8)], n=2, num_samples=2)
    assert shown(made, capsys) == "gha\n---\ngha\n---\nabc\n---\nabc\n"


def test_everything_certain_is_out_after_each_token(capsys: pytest.CaptureFixture[str]) -> None:
    made = writing(["a", "c"], [0, 1, 8, 9, 10, 2, 3], n=6, stops=["cd"])  # a b € c d
    writer = story.writer_for(made, None, echo=True)
    writer.begin()
    out = [capsys.readouterr().out]
    for piece in made:
        writer.piece(piece)
        out.append(capsys.readouterr().out)
    writer.close()
    out.append(capsys.readouterr().out)
    first = [text for text in out if text]
    # The first text streams; c is held back, as it may begin the stop text; the second one waits for its turn.
    assert first[:3] == ["a", "b", "€"]
    assert "".join(out) == "ab€\n---\ncdab€\n"
    assert made.completions[0].finish_reason == "stop"


def test_an_interrupt_keeps_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    made = writing(["a", "c"], [*range(8)], stops=["gz"])

    class Interrupting(story.TextWriter):
        def piece(self, piece: Any) -> None:
            super().piece(piece)
            if len(piece.step.sample.ids) == 6 and piece.step.sample.prompt == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        story.write(made, Interrupting(made, echo=True))
    assert capsys.readouterr().out == "abcdefg\n---\ncdefgha\n"
    assert [completion.finish_reason for completion in made.completions] == ["interrupted"] * 2
    for completion in made.completions:
        assert len(completion.sample.ids) == len(completion.sample.logprobs) == 6


def test_an_interrupt_while_the_prompt_is_printed_ends_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    made = writing(["a", "c"], [*range(8)])

    class Interrupting(story.TextWriter):
        def _print(self, text: str, style: str | None = None) -> None:
            super()._print(text, style)
            if text == "a":
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        story.write(made, Interrupting(made, echo=True))
    assert capsys.readouterr().out == "a\n---\nc\n"


def test_json_after_an_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    made = writing(["a"], [*range(8)])

    class Interrupting(story.JsonWriter):
        def piece(self, piece: Any) -> None:
            if len(piece.step.sample.ids) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        story.write(made, Interrupting(made))
    record = json.loads(capsys.readouterr().out)
    assert (record["completion"], record["ids"], record["finish_reason"]) == ("bcd", [1, 2, 3], "interrupted")


def test_json_has_these_fields_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    made = writing(["a", "é"], [*range(8)], n=3, num_samples=2)
    records = [json.loads(line) for line in shown(made, capsys, "json").splitlines()]
    assert [(record["prompt"], record["sample"]) for record in records] == [("a", 1), ("a", 2), ("é", 1), ("é", 2)]
    for record in records:
        assert list(record) == [
            *("schema", "model", "prompt", "completion", "prompt_ids", "ids", "logprobs", "finish_reason", "seed"),
            *("sample", "timings"),
        ]
        assert list(record["timings"]) == ["load_s", "first_token_s", "total_s", "tokens_per_s"]
        assert 0 <= record["timings"]["first_token_s"] <= record["timings"]["total_s"]
    assert records[0]["completion"] == "bcd"
    assert records[0]["prompt_ids"] == [0]
    assert records[0]["ids"] == [1, 2, 3]
    assert records[0]["seed"] == 5
    nothing = json.loads(shown(writing(["a"], [0, 1], n=0), capsys, "json"))
    assert (nothing["completion"], nothing["ids"], nothing["finish_reason"]) == ("", [], "length")
    assert nothing["timings"] == {"load_s": 0.0, "first_token_s": None, "total_s": None, "tokens_per_s": None}


def test_jsonl_is_one_object_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    made = writing(["b", "a"], [0, 1, 8, 9, 10, 2], n=4, eos=(2,))
    lines = [json.loads(line) for line in shown(made, capsys, "jsonl").splitlines()]
    assert [(line["prompt_number"], line["position"], line["id"], line["text"]) for line in lines] == [
        *((1, 1, 8, ""), (2, 1, 1, "b"), (1, 2, 9, ""), (2, 2, 8, ""), (1, 3, 10, "€"), (2, 3, 9, "")),
        *((1, 4, 2, ""), (2, 4, 10, "€")),
    ]
    assert [line["finish_reason"] for line in lines[-2:]] == ["eos", "length"]
    assert (lines[0]["token"], lines[0]["bytes"]) == ("\ufffd", "e2")
    assert (lines[1]["token"], lines[1].get("bytes")) == ("b", None)
    for number, completion in enumerate(made.completions, start=1):
        assert "".join(line["text"] for line in lines if line["prompt_number"] == number) == completion.stream.text
        assert [line["logprob"] for line in lines if line["prompt_number"] == number] == completion.sample.logprobs


@pytest.mark.parametrize("output", [None, "json", "jsonl"])
def test_sliding_is_said_once_on_stderr(capsys: pytest.CaptureFixture[str], output: str | None) -> None:
    made = writing(["abcdefgh", "a", "b"], [*range(8)], n=20, n_positions=6)
    story.write(made, story.writer_for(made, output, echo=True))
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    for fact in ("6 tokens", "newest 3", "--overflow stop"):
        assert fact in captured.err
    assert "outgrew" not in captured.out


def test_no_notice_where_nothing_slid(capsys: pytest.CaptureFixture[str]) -> None:
    made = writing(["a"], [*range(8)], n=20, n_positions=6, overflow="stop")
    shown(made, capsys)
    assert len(made.completions[0].sample.ids) == 6
    made = writing(["a"], [*range(8)], n=6, n_positions=6)
    story.write(made, story.writer_for(made, None, echo=True))
    assert capsys.readouterr().err == ""


def test_stats_are_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    made = writing(["abc", "d"], [*range(8)], n=4, num_samples=3)
    story.write(made, story.writer_for(made, None, echo=True))
    capsys.readouterr()
    story.show_stats(made)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    for fact in ("4 prompt tokens", "24 new tokens", "tokens/s", "first token after", "peak memory", "seed 5"):
        assert fact in captured.err


def test_peak_memory_is_that_of_this_process() -> None:
    if sys.platform == "linux":
        peak = peak_memory()
        held = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        assert peak is not None
        assert abs(peak - int(held.split()[1]) * 1024) < 0.1 * peak


def test_a_pace_waits_after_each_token_and_ctrl_c_ends_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with Interrupt() as interrupt:
        story._pause(0.12, interrupt)
        assert sum(slept) == pytest.approx(0.12)
        slept.clear()
        story._pause(0.0, interrupt)
        assert slept == []
        interrupt._note(2, None)
        with pytest.raises(KeyboardInterrupt):
            story._pause(60.0, interrupt)
        assert sum(slept) <= 0.05
