"""``gptcli tokenize`` as it is typed."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.errors import InputError
from gptcli.system.bundled import bundled_folder
from gptcli.tokenizer import gpt2_tokenizer
from gptcli.tokenizer.listing import parse_ids
from tests.tokenizer import kinds, reference

CAPES = "Not all heroes wear capes"
CAPES_IDS = [3673, 477, 10281, 5806, 1451, 274]
GPT2 = gpt2_tokenizer()
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
runner = CliRunner()


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def output(*arguments: str, stdin: str | bytes | None = None) -> str:
    result = runner.invoke(app, ["tokenize", *arguments], input=stdin)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def error(*arguments: str, stdin: str | bytes | None = None, code: int = 2) -> str:
    result = runner.invoke(app, ["tokenize", *arguments], input=stdin)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    return result.stderr


def test_tokens_ids_below_and_counts() -> None:
    tokens, ids, _, counts = output(CAPES).splitlines()
    assert tokens.split() == ["Not", "·all", "·heroes", "·wear", "·cap", "es"]
    assert ids.split() == [str(token) for token in CAPES_IDS]
    assert [tokens.index("·heroes"), tokens.index("·wear")] == [ids.index("10281"), ids.index("5806")]
    assert counts.split("  ") == ["6 of 512 tokens · 25 characters (4.17 a token) · 25 bytes", "gpt2"]


def test_several_words_are_one_text() -> None:
    assert output("Not", "all heroes", "wear", "capes") == output(CAPES)


def test_json_holds_what_is_drawn() -> None:
    answer = json.loads(output("--json", CAPES + " 🌍"))
    assert [token["id"] for token in answer["tokens"]] == [*CAPES_IDS, 12520, 234, 235]
    assert answer["tokens"][6] == {
        "position": 7,
        "id": 12520,
        "token": " \ufffd",
        "bytes": "20f09f",
        "piece": "ĠðŁ",
        "start": 25,
        "end": 27,
    }
    assert answer["counts"] == {
        "n_tokens": 9,
        "n_characters": 27,
        "n_bytes": 30,
        "characters_per_token": 3.0,
    }
    assert answer["tokenizer"] == "gpt2"


def test_the_picture_tells_no_lie() -> None:
    shown = output("é 🌍\n\x1b[31m\u202e[bold]x")
    assert "·\\xF0\\x9F" in shown
    assert "⏎" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\\x1b" in shown
    assert "bold" in shown


@pytest.mark.parametrize("arguments", [(), ("--merges",)])
def test_lines_fit_eighty_columns(arguments: tuple[str, ...]) -> None:
    lines = output(*arguments, reference.HARD_TEXT).splitlines()
    assert max(map(cell_len, lines)) <= 80


def test_ids_are_one_line_and_decode_to_the_text() -> None:
    assert output("--ids", CAPES) == "3673 477 10281 5806 1451 274\n"
    assert output("--decode", stdin="3673 477 10281 5806 1451 274\n") == CAPES
    assert output("--ids", "") == "\n"


@pytest.mark.slow
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
@settings(max_examples=40)
def test_ids_and_decode_are_inverse_on_pipes(text: str) -> None:
    # The bytes: the runner's text has no "\r\n".
    decoded = runner.invoke(app, ["tokenize", "--decode"], input=output("--ids", stdin=text.encode()))
    assert decoded.stdout_bytes == text.encode()


@pytest.mark.parametrize("written", ["[3673, 477]", "3673,477", " 3673\n\n477 ", "(3673 ,477)", "3673\t477"])
def test_ids_are_read_as_people_write_them(written: str) -> None:
    assert output("--decode", written) == "Not all"
    assert json.loads(output("--decode", "--json", stdin=written)) == {
        "schema": "gptcli.tokenize.decode/1",
        "text": "Not all",
        "ids": [3673, 477],
    }


def test_many_ids_are_decoded_as_they_come() -> None:
    text = "some words, and more. " * 20_000
    assert output("--decode", stdin=output("--ids", stdin=text)) == text


@pytest.mark.slow
def test_decode_writes_bytes_as_they_are(run_gptcli: Run) -> None:
    assert run_gptcli("tokenize", "--decode", "12520 234").stdout == b" \xf0\x9f\x8c"


def test_count() -> None:
    assert output("--count", CAPES) == "6\n"
    assert output("--count", stdin=CAPES + "\n") == "7\n"
    assert json.loads(output("--count", "--json", CAPES))["n_bytes"] == 25


def test_truncate() -> None:
    assert output("--truncate", "3", CAPES) == "Not all heroes"
    assert output("--truncate", "99", stdin=CAPES + "\n") == CAPES + "\n"
    assert output("--truncate", "0", CAPES) == ""
    assert output("--truncate", "9" * 20, CAPES) == CAPES
    answer = json.loads(output("--truncate", "2", "--json", CAPES))
    assert answer == {
        "schema": "gptcli.tokenize.truncate/1",
        "text": "Not all",
        "ids": [3673, 477],
        "is_cut": True,
    }
    assert json.loads(output("--truncate", "6", "--json", CAPES))["is_cut"] is False


def test_truncate_ends_at_a_whole_character() -> None:
    assert output("--truncate", "3", "a 🌍") == "a "
    assert output("--truncate", "4", "a 🌍") == "a 🌍"


def test_merges() -> None:
    shown = output("--merges", "heroes heroes")
    first_words = [line.split()[0] for line in shown.splitlines() if line]
    second = first_words[first_words.index("·heroes") :]
    assert second == ["·heroes", "·", "258", "274", "305", "339", "4293", "10281", "id"]
    assert "10281  ·heroes    ·hero + es" in shown
    heroes = json.loads(output("--merges", "--json", " heroes"))["pieces"][0]
    assert heroes["tokens"] == [{"id": 10281, "token": " heroes"}]
    assert heroes["merges"][-1]["parts"] == [{"token": " heroes"}]


def test_special_tokens() -> None:
    assert output("--ids", "<|endoftext|>") == "27 91 437 1659 5239 91 29\n"
    assert output("--ids", "--special", "<|endoftext|>") == "50256\n"
    assert "50256" in output("--merges", "--special", "<|endoftext|>")


def test_a_checkpoints_own_tokenizer(tmp_path: Path) -> None:
    theirs = reference.trained(special=["</s>"], start="</s>")
    reference.save(theirs, tmp_path)
    assert output("-m", str(tmp_path), "--ids", CAPES).split() == [
        str(token) for token in theirs.encode(CAPES, add_special_tokens=False).ids
    ]
    assert "the model expects </s> (0)" in output("-m", str(tmp_path), CAPES)


def test_the_model_can_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPTCLI_MODEL", str(tmp_path))
    assert "no tokenizer" in error("x", code=1)


def test_encodings() -> None:
    assert output("--encoding", "r50k_base", "--ids", CAPES) == output("--ids", CAPES)
    assert "cl100k_base" in error("--encoding", "nope", CAPES)


def test_saving(tmp_path: Path) -> None:
    for name in ("a.svg", "a.html", "a.txt"):
        output(CAPES, "--save", str(tmp_path / name))
        assert "heroes" in (tmp_path / name).read_text()
    output("--merges", CAPES, "--save", str(tmp_path / "m.txt"))
    assert "10281" in (tmp_path / "m.txt").read_text()
    assert "--ids" in error("--ids", CAPES, "--save", str(tmp_path / "b.txt"))


def test_mistakes_are_named() -> None:
    assert "--ids and --count" in error("--ids", "--count", "x")
    assert "'abc' is not a token id" in error("--decode", "1 abc")
    assert "'-1' is not a token id" in error("--decode", "--", "-1")
    assert "id 50257 is not in the vocabulary of gpt2: ids run from 0 to 50256" in error("--decode", "50257")
    assert "99999999999" in error("--decode", "9" * 30)
    assert "byte 0xff at offset 2" in error("--ids", stdin=b"ab\xffcd").removeprefix("\n")
    assert "nowhere" in error("-m", "nowhere", "x")
    assert "TEXT is not UTF-8" in error("a\udcff")


@pytest.mark.slow
def test_a_large_text_is_drawn_in_part() -> None:
    shown = output(stdin="word " * 30_000)
    assert "... and 29,001 more (--ids prints them all)" in shown
    assert "30,001 tokens, more than the context of 512 ·" in shown
    assert "different pieces" in output("--merges", stdin=" ".join(map(str, range(1000))))


@pytest.mark.slow
def test_reading_stops_where_the_reader_does(run_gptcli: Run, child_environment: dict[str, str]) -> None:
    shell = f"yes | {sys.executable} -m gptcli tokenize --ids | head -c 11"
    done = subprocess.run(["bash", "-c", shell], env=child_environment, capture_output=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == (b"88 198 88 1", b"")


@pytest.mark.slow
def test_torch_and_numpy_are_not_imported(child_environment: dict[str, str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "gptcli", "tokenize", CAPES]
    done = subprocess.run(command, env=child_environment, capture_output=True, text=True, timeout=60, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "tiktoken" in imported
    assert not imported & {"torch", "numpy", "transformers", "safetensors", "requests"}


STORIES = (bundled_folder() / "tales" / "held_out.tsv").read_text()


def stories(size: int) -> str:
    """Natural text of some length."""
    return (STORIES * (size // len(STORIES) + 1))[:size]


@pytest.mark.slow
def test_ten_megabytes_stream_in_bounded_memory(child_environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "small").write_text(stories(1_000_000))
    (tmp_path / "large").write_text(stories(10_000_000))
    peak = {}
    for name in ("small", "large"):
        with open(tmp_path / name, "rb") as text, open(tmp_path / "ids", "wb") as ids:
            command = [sys.executable, "-m", "gptcli", "tokenize", "--ids"]
            process = subprocess.Popen(command, env=child_environment, stdin=text, stdout=ids)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status  # so that Popen does not warn that the child was left alone
        assert status == 0
        peak[name] = usage.ru_maxrss / 1024
    assert [int(token) for token in (tmp_path / "ids").read_text().split()] == GPT2.encode(stories(10_000_000))
    assert peak["large"] < peak["small"] + 20


@pytest.mark.slow
def test_a_word_without_an_end_is_refused_before_it_fills_the_memory(run_gptcli: Run) -> None:
    done = run_gptcli("tokenize", "--count", input=b"a" * 17_000_000)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"without a position where gpt2 may cut it" in done.stderr
    assert len(done.stderr) < 300


@pytest.mark.slow
@pytest.mark.parametrize("separator", [" ", "\t", ",\n", "][", "("])
def test_ids_are_read_as_they_come_whatever_is_between_them(separator: str) -> None:
    made = 0

    def chunks() -> Iterator[str]:
        nonlocal made
        for number in range(100):
            made = number
            yield f"464{separator}" * 10_000

    first = next(parse_ids(chunks()))
    assert made < 10
    assert set(first) == {464}
    assert sum(map(len, parse_ids(chunks()))) == 1_000_000


def test_what_is_no_id_is_told_before_the_end() -> None:
    def chunks() -> Iterator[str]:
        yield "464 " + "9" * 200_000
        pytest.fail("this is not asked for")

    with pytest.raises(InputError, match="'99999999999999"):
        list(parse_ids(chunks()))


@pytest.mark.slow
def test_the_tokens_of_a_long_text_are_made_one_by_one(run_gptcli: Run) -> None:
    text = "The king and the queen. " * 50_000
    limit = 700 << 20
    done = run_gptcli(
        *("tokenize", "--json"),
        input=text.encode(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        env={"OPENBLAS_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    answer = json.loads(done.stdout)
    assert answer["counts"]["n_tokens"] == len(answer["tokens"])
    assert answer["tokens"][1] == {
        "position": 2,
        "id": 5822,
        "token": " king",
        "piece": "Ġking",
        "start": 3,
        "end": 8,
    }


@pytest.mark.slow
def test_merges_are_shown_of_no_more_than_can_be_looked_at(run_gptcli: Run) -> None:
    done = run_gptcli("tokenize", "--merges", input=b"word " * 250_000)
    assert done.returncode == 2
    assert b"of 1,000,000 characters of input at most" in done.stderr


@pytest.fixture(scope="module")
def by_marks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tokenizer of Llama 2's kind and nothing else."""
    return str(reference.save(kinds.llama2(), tmp_path_factory.mktemp("marks")))


def test_marks_and_bytes_are_drawn_as_what_they_are(by_marks: str) -> None:
    tokens, ids, _, counts, split, note = output("-m", by_marks, "hero 🌍").splitlines()
    shown = tokens.split()
    assert shown[0].startswith("·")
    assert shown[-4:] == ["\\xF0", "\\x9F", "\\x8C", "\\x8D"]
    assert len(shown) == len(ids.split())
    assert counts.startswith(f"{len(shown)} tokens · 6 characters")
    assert split == "🌍 takes 4 tokens: shown as bytes"
    assert note == "before a text the model expects <s> (1)"
    answer = json.loads(output("-m", by_marks, "--json", "hero 🌍"))
    assert answer["tokens"][-1] == {
        "position": len(shown),
        "id": answer["tokens"][-1]["id"],
        "token": "\ufffd",
        "bytes": "8d",
        "piece": "<0x8D>",
        "start": 5,
        "end": 6,
    }
    assert answer["tokens"][0]["piece"].startswith("▁")


def test_offsets_say_which_characters_a_token_was_made_from(by_marks: str) -> None:
    tokens, below, *_ = output("--offsets", CAPES).splitlines()
    assert tokens.split() == ["Not", "·all", "·heroes", "·wear", "·cap", "es"]
    assert below.split() == ["0-3", "3-7", "7-14", "14-19", "19-23", "23-25"]
    assert output("--offsets", "é 🌍").splitlines()[1].split() == ["0-1", "1-3", "2-3", "2-3"]
    last = output("-m", by_marks, "--offsets", "hero 🌍").splitlines()[1].split()[-4:]
    assert last == ["5-6"] * 4
    assert "different questions" in error("--offsets", "--ids", "x")


def test_ids_of_marks_decode_to_the_text_on_pipes(by_marks: str) -> None:
    text = "hero 🌍  wear\nไทย x"
    ids = output("-m", by_marks, "--ids", stdin=text)
    assert output("-m", by_marks, "--decode", stdin=ids) == text
    assert json.loads(output("-m", by_marks, "--decode", "--json", stdin=ids))["text"] == text
    assert output("-m", by_marks, "--truncate", "100", stdin=text) == text
    assert output("-m", by_marks, "--count", stdin=text) == f"{len(ids.split())}\n"


def test_merges_of_marks_word_by_word(by_marks: str) -> None:
    shown = output("-m", by_marks, "--merges", "a heroes").splitlines()
    titles = [line for line in shown if line and not line.startswith(" ")]
    assert titles == ["·a", "·heroes"]
    assert any("·" in line and " + " in line for line in shown)


def test_a_model_without_merges_says_so(tmp_path: Path) -> None:
    folder = str(reference.save(kinds.unigram(), tmp_path))
    assert output("-m", folder, "--count", CAPES)
    assert "has no merges: its model is Unigram" in error("-m", folder, "--merges", CAPES)


def test_a_tokenizer_that_breaks_the_library_is_one_line(tmp_path: Path) -> None:
    root = json.loads(kinds.unigram().to_str())
    root["model"] = {
        "type": "BPE",
        "continuing_subword_prefix": "##",
        "vocab": {"a": 0, "b": 1},
        "merges": [["a", "b"]],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(root))
    said = error("-m", str(tmp_path), "x", code=1)
    assert said.count("\n") == 1
    assert "does not begin with '##', the continuing_subword_prefix" in said
