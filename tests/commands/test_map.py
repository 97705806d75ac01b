"""``gptcli map`` as a user runs it, its coordinates against numpy."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from gptcli.cli.app import app
from tests import glove

WORDS = ["man", "woman", "king", "queen", "uncle", "aunt", "tower"]


def run(*arguments: str, stdin: str | None = None, width: int = 80) -> Result:
    return CliRunner().invoke(app, ["map", *arguments], input=stdin, env={"COLUMNS": str(width)})


def answer(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def vectors(*words: str) -> np.ndarray:
    embedding = glove.bundled()
    return np.stack([embedding.vector(embedding.vocabulary.rows(word)) for word in words]).astype(np.float64)


def coordinates(got: dict[str, Any]) -> np.ndarray:
    return np.array([point["coordinates"] for point in got["points"]])


def test_coordinates_are_the_principal_components() -> None:
    got = answer(*WORDS)
    centred = vectors(*WORDS) - vectors(*WORDS).mean(0)
    values, basis = np.linalg.eigh(centred.T @ centred)
    for place, axis in enumerate(got["axes"]):
        direction = basis[:, -1 - place]
        direction = direction * np.sign(direction[np.abs(direction).argmax()])
        assert axis["name"] == f"PC{place + 1}"
        assert axis["share"] == pytest.approx(values[-1 - place] / values.sum(), abs=1e-6)
        np.testing.assert_allclose(coordinates(got)[:, place], centred @ direction, atol=1e-4)
    assert [point["label"] for point in got["points"]] == WORDS


def test_an_axis_of_ones_own() -> None:
    got = answer(*WORDS, "--axis", "woman-man")
    direction = vectors("woman")[0] - vectors("man")[0]
    dots = vectors(*WORDS) @ (direction / np.linalg.norm(direction))
    axis = got["axes"][0]
    np.testing.assert_allclose(coordinates(got)[:, 0] + axis["mean"], dots, atol=1e-4)
    assert [axis["name"] for axis in got["axes"]] == ["woman-man", "PC1", "PC2"]
    assert axis["share"] == pytest.approx(dots.var() / vectors(*WORDS).var(0).sum(), abs=1e-6)
    shown = run(*WORDS, "--axis", "woman-man").stdout
    assert re.search(r"woman-man \d+\.\d% →", shown)


def test_two_axes_of_ones_own_say_how_alike_they_are() -> None:
    got = answer(*WORDS, "--axis", "woman-man", "--axis", "queen-king")
    pair = vectors("woman", "queen") - vectors("man", "king")
    cosine = pair[0] @ pair[1] / np.linalg.norm(pair, axis=1).prod()
    assert got["axes_cosine"] == pytest.approx(cosine, abs=1e-6)
    shown = run(*WORDS, "--axis", "woman-man", "--axis", "queen-king", width=100).stdout
    assert f"cosine similarity is {cosine:.3f}" in shown


def test_arrows_are_measured_in_all_dimensions() -> None:
    got = answer("man->woman", "king→queen", "man->king")
    assert [point["label"] for point in got["points"]] == ["man", "woman", "king", "queen"]
    steps = [vectors(b)[0] - vectors(a)[0] for a, b in (("man", "woman"), ("king", "queen"), ("man", "king"))]
    assert [(arrow["start"], arrow["end"]) for arrow in got["arrows"]] == [(1, 2), (3, 4), (1, 3)]
    for arrow, step in zip(got["arrows"], steps, strict=True):
        assert arrow["length"] == pytest.approx(np.linalg.norm(step), abs=1e-4)
        cosine = step @ steps[0] / np.linalg.norm(step) / np.linalg.norm(steps[0])
        assert arrow["cosine"] == pytest.approx(cosine, abs=1e-4)
    shown = run("man->woman", "king->queen").stdout
    assert re.search(r"king → queen +3\.478 +0\.597", shown)
    assert sum(shown.count(head) for head in "↗↖↙↘") + shown.count("↑") - 1 >= 2


def test_neighbors_are_those_of_the_neighbors_command() -> None:
    got = answer("tower", "--neighbors", "5")
    listed = CliRunner().invoke(app, ["neighbors", "tower", "--top", "5", "--json"])
    expected = [
        (item["token"], "tower", pytest.approx(item["similarity"])) for item in json.loads(listed.stdout)["neighbors"]
    ]
    near = [(point["label"], point["neighbor_of"], point["similarity"]) for point in got["points"][1:]]
    assert near == expected


def test_a_neighbor_of_two_words_is_on_the_map_once() -> None:
    labels = [point["label"] for point in answer("king", "queen", "--neighbors", "10")["points"]]
    assert len(labels) == len(set(labels)) < 22


def test_a_gpts_tokens_are_shown_as_what_they_are() -> None:
    done = run("king", "rumpelstiltskin", "--neighbors", "3", "-m", "tales")
    assert done.exit_code == 0
    assert "·" in done.stdout
    assert "their mean stands for it" in done.stderr


@pytest.mark.parametrize("width", [30, 80, 200])
@pytest.mark.parametrize("arguments", [WORDS, ["man->woman", "king->queen"], ["cat", "tower", "--neighbors", "20"]])
def test_the_picture_fits_and_every_label_is_whole_or_counted(arguments: list[str], width: int) -> None:
    shown = run(*arguments, width=width).stdout
    assert max(map(cell_len, shown.splitlines())) <= width
    plot = shown[: shown.index("└")]
    labels = [point["label"] for point in answer(*arguments)["points"]]
    missing = re.search(r"(\d+) of (\d+) labels", " ".join(shown.split()))
    seen = sum(bool(re.search(rf"(?<!\w){re.escape(label)}(?!\w)", plot)) for label in labels)
    assert seen == len(labels) - (int(missing[1]) if missing else 0)
    assert "\x1b" not in shown


def test_groups_are_told_apart_without_colour() -> None:
    shown = run("cat", "tower", "--neighbors", "4").stdout
    assert [shown.count(marker) for marker in "●▲"] == [1, 1]
    assert 1 <= shown.count("○") <= 4
    assert 1 <= shown.count("△") <= 4


def test_words_may_be_piped() -> None:
    assert run(stdin="man->woman king\n").stdout == run("man->woman", "king").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "two words or more"),
        (["king"], "two words or more"),
        (["king", "king"], "two words or more"),
        (["king", "quene"], "did you mean queen"),
        (["king", "King"], "one and the same vector"),
        (["king->"], "from a word to another"),
        (["king->king"], "from a word to another"),
        (["king", "queen", "--axis", "man-man"], "cancel out"),
        (["king", "queen", "--axis", "woman-man", "--axis", "man-woman"], "same direction"),
        (["king", "queen", *["--axis", "a"] * 3], "too many"),
        (["king", "queen", "--axis", "woman-"], "expected a word"),
        (["king", "king-king", "--neighbors", "2"], "zero vector"),
        (["king", "queen", "--neighbors", "-1"], "--neighbors"),
        (["king", "queen", "--save", "map.pdf"], "must end in"),
    ],
)
def test_mistakes_end_with_code_2(arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_page_needs_nothing_and_obeys_nothing(tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    done = run("king", "queen", "man->woman", "--neighbors", "3", "--save", str(page))
    assert done.exit_code == 0
    html = page.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=[\"'](?!data:)", html)
    assert "https:" not in html
    data = json.loads(re.findall(r'id="data">(.*?)</script>', html)[0])
    got = answer("king", "queen", "man->woman", "--neighbors", "3")
    np.testing.assert_allclose([point["at"] for point in data["points"]], coordinates(got), atol=1e-5)
    assert data["arrows"] == [[2, 3, 0]]


@pytest.mark.parametrize("suffix", ["svg", "txt"])
def test_other_files_hold_the_picture(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"map.{suffix}"
    assert run("king", "queen", "--save", str(file)).exit_code == 0
    assert "queen" in file.read_text(encoding="utf-8")
