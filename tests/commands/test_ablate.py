"""``gptcli ablate`` and ``gptcli patch`` as they are typed."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from gptcli.checkpoint.open import open_checkpoint
from gptcli.cli.app import app
from gptcli.errors import InputError
from gptcli.inspection.ablation import ablate
from gptcli.inspection.patching import check_texts, patch
from gptcli.inspection.runs import runs_of
from gptcli.show.ablation import draw as draw_ablation
from gptcli.show.patching import draw as draw_patching
from tests.tales import LAYERS

NAMES = "Sara met Ben. Ben said hello to Sara. Sara said hello to"
CORRUPTED = "Sara met Ben. Ben said hello to Sara. Ben said hello to"
OVER = ["--token", "Ben", "--versus", "Sara"]


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, list(arguments), input=text)


def answer(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.mark.slow
def test_an_effect_is_what_the_logits_lose() -> None:
    """As ``logits --without`` has it."""
    got = answer("ablate", NAMES, *OVER)
    assert (got["schema"], got["model"], got["complete"]) == ("gptcli.ablate/1", "tales", True)
    assert (got["token"]["token"], got["versus"]["token"]) == (" Ben", " Sara")

    def over(*out: str) -> float:
        said = answer("logits", NAMES, "--watch", "Ben", "--watch", "Sara", *out)
        ben, sara = (each["logit"] for each in said["distributions"][0]["watched"])
        return float(ben - sara)

    whole = over()
    assert got["whole"] == pytest.approx(whole, abs=1e-4)
    assert got["layers"][2]["heads"][2] == pytest.approx(whole - over("--without", "3.3"), abs=1e-3)
    assert got["layers"][1]["mlp"] == pytest.approx(whole - over("--without", "mlp:2"), abs=1e-3)


def test_a_text_without_the_head_that_repeats_names() -> None:
    """Several heads do, and one alone is stood in for by others."""
    layers = answer("ablate", NAMES, *OVER)["layers"]
    effects = {f"{row['layer']}.{head}": value for row in layers for head, value in enumerate(row["heads"], 1)}
    out = [part for name in sorted(effects, key=effects.__getitem__)[-3:] for part in ("--without", name)]
    plain = answer("generate", NAMES, "-n", "1", "-t", "0")
    got = answer("generate", NAMES, "-n", "1", "-t", "0", *out)
    assert plain["completion"] == " Ben"
    assert got["completion"] != " Ben"


@pytest.fixture(scope="module")
def drawn(tales: Any) -> list[Any]:
    """Pictures of both commands."""
    found = ablate(tales, NAMES, token="Ben", versus="Sara")
    traced = patch(tales, NAMES, CORRUPTED, token="Ben", versus="Sara")
    return [draw_ablation(found, found.strongest(5)), draw_patching(traced)]


@pytest.mark.parametrize("columns", [30, 60, 80, 200])
@pytest.mark.parametrize("colours", ["truecolor", None])
def test_every_line_fits(drawn: list[Any], columns: int, colours: Any) -> None:
    for picture in drawn:
        console = Console(file=io.StringIO(), width=columns, color_system=colours, force_terminal=colours is not None)
        with console.capture() as captured:
            console.print(picture)
        lines = Text.from_ansi(captured.get()).plain.splitlines()
        assert len(lines) > 10
        assert max(map(cell_len, lines)) <= columns


@pytest.mark.slow
def test_what_the_pictures_say() -> None:
    shown = run("ablate", NAMES, *OVER, "--top", "2").stdout
    assert "The logit of ·Ben over ·Sara: " in shown
    assert "becomes zero" in shown
    parts: dict[str, float] = {}
    for row in answer("ablate", NAMES, *OVER)["layers"]:
        parts |= {f"{row['layer']}.{head}": abs(value) for head, value in enumerate(row["heads"], 1)}
        parts[f"mlp:{row['layer']}"] = abs(row["mlp"])
    strongest = sorted(parts, key=parts.__getitem__, reverse=True)
    assert [line.split()[0] for line in shown.rstrip().splitlines()[-2:]] == strongest[:2]
    shown = run("patch", NAMES, CORRUPTED, *OVER).stdout
    assert "What brings the logit of ·Ben over ·Sara back" in shown
    assert "·Ben→·Sara" in shown
    assert "The first 11 tokens are the same" in shown
    assert shown.count("embedding") == 1


@pytest.mark.slow
def test_patch_as_json(tmp_path: Path) -> None:
    page = tmp_path / "p.html"
    got = answer("patch", NAMES, CORRUPTED, *OVER, "--heads", "--save", str(page))
    assert (got["schema"], got["complete"]) == ("gptcli.patch/1", True)
    assert got["clean"]["value"] > got["corrupted"]["value"]
    assert [each["part"] for each in got["maps"]] == ["heads"]
    assert "each head, at all positions" in page.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".html", ".svg", ".txt"])
def test_a_saved_picture(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    assert run("ablate", "Tom had a friend", "--save", str(file)).exit_code == 0
    assert "in the whole model" in file.read_text().replace("\xa0", " ").replace("&#160;", " ")


@pytest.mark.parametrize("command", [("ablate", NAMES), ("patch", NAMES, CORRUPTED)])
def test_ctrl_c_shows_the_part_that_is_done(monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    checkpoint = open_checkpoint("tales", inside=False)
    trunk: Any = type(runs_of(checkpoint).trunk([1]))
    branch, calls = trunk.branch, [0]

    def impatient(self: Any, *arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] > 3:
            raise KeyboardInterrupt
        return branch(self, *arguments)

    monkeypatch.setattr(trunk, "branch", impatient)
    done = run(*command)
    assert done.exit_code == 130
    assert "interrupted: " in done.stderr
    assert re.search(rf"^ *{LAYERS} +[+-]?\d", done.stdout, re.MULTILINE)  # the last layer comes first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ablate", "A", "--measure", "loss", "--token", "x"), "leave out --token"),
        (("ablate", "A", "--by", "resample"), "goes with --from-text"),
        (("ablate", ""), ""),
        (("patch", "Once upon a time", "Once upon"), "clean      Once ·upon ·a ·time"),
        (("patch", "A girl", "A girl"), "the same"),
        (("patch", "A"), "CORRUPTED"),
    ],
)
def test_a_mistake_is_one_message(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == (2 if message else 0)
    assert message in done.stderr


@pytest.mark.slow
def test_the_mean_of_one_token_is_itself() -> None:
    done = run("ablate", "The", "--by", "mean", "--top", "1")
    assert "the text is one token, whose mean is itself" in done.stderr
    assert "whose mean is itself" not in run("ablate", "The cat", "--by", "mean", "--top", "1").stderr


def test_empty_texts_are_refused_as_such() -> None:
    done = run("patch", "", "")
    assert (done.exit_code, done.stderr) == (2, "error: both texts are empty: give two that differ in a word\n")


def test_texts_side_by_side_begin_with_a_whole_word() -> None:
    clean = [b"Once", b" S", b"ara", b" met", b" Ben", b"."]
    with pytest.raises(InputError) as caught:
        check_texts(clean, [*clean[:4], b" Tom", b" and", b" Ben"])
    assert str(caught.value).splitlines()[1:] == [
        "  clean     … ·S ara ·met ·Ben .    –",
        "  corrupted … ·S ara ·met ·Tom ·and ·Ben",
    ]
    with pytest.raises(InputError) as caught:
        check_texts([b"S", b"ara", b" met", b"x"], [b"S", b"ara", b" met"])
    assert str(caught.value).splitlines()[1] == "  clean      S ara ·met x"
    long = [b"x"] * 30  # a word without an end
    with pytest.raises(InputError, match="y"):
        check_texts([*long, b"y"], [*long, b"z", b"z"])
