"""``gptcli neurons``: a text's neurons, one neuron, the passages of a file, and mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from gptcli.cli.app import app
from tests.tales import FEELINGS_NEURON, LAYERS

pytestmark = pytest.mark.slow

LAYER, NEURON = map(int, FEELINGS_NEURON.split("."))
FEELING = "·unhappy"  # of the words that it raises: `gptcli neurons --neuron 8.1015`
TEXT = "Tom lost his ball and he was"
HELD_OUT = str(Path(__file__).parents[1] / "held_out.txt")


def run(*arguments: str, width: int = 80, input: str | None = None) -> Any:
    return CliRunner().invoke(app, ["neurons", *arguments], env={"COLUMNS": str(width)}, input=input)


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize(
    "arguments",
    [
        (TEXT, "--at", "-1"),
        (TEXT, "--neuron", FEELINGS_NEURON),
        pytest.param(("--neuron", FEELINGS_NEURON), marks=pytest.mark.slow),
        pytest.param((HELD_OUT, "--neuron", FEELINGS_NEURON, "--top", "2"), marks=pytest.mark.slow),
    ],
)
def test_pictures_fit_and_say_what_is_written(width: int, arguments: tuple[str, ...]) -> None:
    given = ("-f", *arguments) if arguments[0] == HELD_OUT else arguments
    done = run(*given, width=width)
    assert done.exit_code == 0, done.output
    assert max(map(cell_len, done.stdout.splitlines())) <= width
    assert FEELING in done.stdout


def test_more_lists_where_it_is_wide() -> None:
    headings = [run(TEXT, "--at", "-1", "--top", "1", width=width).stdout for width in (80, 100, 160)]
    assert ["lowers" in text.split("──")[0] for text in headings] == [False, True, True]
    assert ["excited by" in text.split("──")[0] for text in headings] == [False, False, True]


def test_json_of_a_text() -> None:
    got = json.loads(run(TEXT, "--top", "2", "--layer", "4-5", "--json").stdout)
    assert (got["schema"], got["model"], got["layers"], got["width"]) == ("gptcli.neurons/1", "tales", [4, 5], 1024)
    assert "".join(token["token"] for token in got["tokens"]) == TEXT
    assert [token["position"] for token in got["tokens"]] == list(range(1, len(got["tokens"]) + 1))
    for token in got["tokens"]:
        assert len(token["neurons"]) == 2
        for neuron in token["neurons"]:
            assert neuron["layer"] in (4, 5)
            assert 1 <= neuron["neuron"] <= 1024
            assert set(neuron["raises"][0]) == {"id", "token", "score"}


def test_json_of_a_neuron_and_its_passages(tmp_path: Path) -> None:
    got = json.loads(run("--neuron", FEELINGS_NEURON, "--top", "3", "--json").stdout)
    assert (got["schema"], got["neuron"]["layer"], got["neuron"]["neuron"]) == ("gptcli.neurons.one/1", LAYER, NEURON)
    assert [len(got["neuron"][name]) for name in ("raises", "lowers", "excited_by")] == [3, 3, 3]
    file = tmp_path / "story.txt"
    file.write_text(f"{TEXT} sad.\n" * 30)
    got = json.loads(run("--neuron", FEELINGS_NEURON, "-f", str(file), "--top", "2", "--window", "64", "--json").stdout)
    assert (got["schema"], got["window"], got["complete"]) == ("gptcli.neurons.passages/1", 64, True)
    assert len(got["passages"]) == 2
    first = got["passages"][0]
    assert first["tokens"][first["peak"]]["token"] == " was"
    piped = json.loads(run("-", "--neuron", FEELINGS_NEURON, "--json", input=TEXT).stdout)
    assert (piped["read"], piped["source"]) == (len(TEXT.split()), "the text")


@pytest.mark.parametrize("suffix", ["html", "svg"])
@pytest.mark.parametrize(
    "arguments", [(TEXT, "--at", "-2"), (TEXT, "--neuron", FEELINGS_NEURON), ("--neuron", FEELINGS_NEURON)]
)
def test_it_can_be_saved(tmp_path: Path, arguments: tuple[str, ...], suffix: str) -> None:
    file = tmp_path / f"neurons.{suffix}"
    assert run(*arguments, "--save", str(file)).exit_code == 0
    assert "tales" in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((TEXT, "-f", HELD_OUT), "--neuron"),
        ((TEXT, "--neuron", FEELINGS_NEURON, "-f", HELD_OUT), "not both"),
        (("--neuron", f"{LAYERS + 1}.1"), f"layers 1 to {LAYERS}"),
        (("--neuron", "5.2000"), "neurons 1 to 1,024"),
        (("--neuron", "4.*"), "one neuron"),
        (("--neuron", FEELINGS_NEURON, "-f", "no such file"), "no such file"),
        (("--neuron", FEELINGS_NEURON, "--at", "-1"), "--at"),
        ((TEXT, "--at", "dragon"), "dragon"),
        ((TEXT, "--layer", f"{LAYERS + 1}"), f"layers 1 to {LAYERS}"),
    ],
)
def test_mistakes_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(b"ok \xff\xfe")
    done = run("--neuron", FEELINGS_NEURON, "-f", str(file))
    assert done.exit_code == 2
    assert "not UTF-8: byte 0xff at offset 3" in done.stderr


def test_tables_as_csv() -> None:
    import csv
    import io

    def rows(*arguments: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(run(*arguments, "--csv").stdout)))

    text = rows(TEXT, "--at", "-1", "--top", "2")
    assert [(row["position"], row["token"]) for row in text] == [("7", " was")] * 2
    assert float(text[0]["activation"]) > 1
    assert "·" in text[1]["raises"]
    one = rows("--neuron", FEELINGS_NEURON, "--top", "2")
    assert [(row["what"], row["neuron"]) for row in one] == [
        (name, f"{NEURON}") for name in ("raises", "lowers", "excited_by") for _ in range(2)
    ]
    found = rows(TEXT, "--neuron", FEELINGS_NEURON, "--top", "1")
    assert "".join(row["token"] for row in found) == TEXT
    assert [row["token"] for row in found if row["peak"] == "true"] == [" was"]
    assert [row["position"] for row in found] == [str(number) for number in range(1, 8)]
