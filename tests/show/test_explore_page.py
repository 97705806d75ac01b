"""The page of ``explore`` as a file: no text changes what it is made of, and its data is all there."""

import base64
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import gptcli
from gptcli.checkpoint.open import open_checkpoint
from gptcli.cli.app import app
from gptcli.inspection.explored import Explored, explored
from gptcli.sampling.settings import Sampling
from gptcli.show.explore_page.page import Exploration, explore_page, save_page
from gptcli.show.tour_page import tour_page
from tests.show.test_page import EVIL, data, shape
from tests.tales import HEADS, LAYERS


@pytest.fixture(scope="module")
def seen() -> Explored:
    return explored(open_checkpoint("tales", inside=False), "The king and")


def named(seen: Explored, text: str) -> Explored:
    """The same with this text in all places that take one."""
    names = dict.fromkeys(seen.names, text.encode())
    return dataclasses.replace(seen, model=text, text=text, names=names)


def test_no_text_changes_what_the_page_is_made_of(seen: Explored) -> None:
    page = explore_page(named(seen, EVIL)).html()
    assert shape(page) == shape(explore_page(named(seen, "x")).html())
    for character in "\x1b\x00\u202e\u2066":
        assert character not in page


def test_the_data_is_what_was_computed(seen: Explored) -> None:
    (held,) = data(explore_page(seen).html())
    logits = np.frombuffer(base64.b64decode(held["logits"]), "<f4")
    assert logits.tolist() == np.concatenate([each.logits for each in seen.expected]).tolist()
    lower = np.frombuffer(base64.b64decode(held["pattern"]), "<u2").reshape(LAYERS, HEADS, 6) / 65535  # 1 + 2 + 3
    assert lower[3, 2] == pytest.approx(seen.pattern[3, 2][np.tril_indices(3)], abs=1e-5)
    assert held["ids"] == seen.ids
    assert held["ends"] == [3, 8, 12]


def test_it_makes_no_request_and_evaluates_nothing(seen: Explored) -> None:
    page = explore_page(seen).html()
    assert not re.search(r"https?:(?!//www\.w3\.org/2000/svg)|url\(|@import|\beval\(|innerHTML|new Function", page)
    assert "unsafe" not in re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[0]
    json.dumps(data(page))


def test_the_tour_ends_with_all_of_it(seen: Explored) -> None:
    page = tour_page([], lambda stop: None, seen).html()
    assert data(page) == data(explore_page(seen).html())
    assert "gptcli explore &quot;The king and&quot; --save page.html" in page
    assert "All of it, under one cursor" in page


def test_the_sliders_begin_where_they_are_told(seen: Explored) -> None:
    (held,) = data(explore_page(seen, sampling=Sampling(temperature=0.7, top_k=7, top_p=0.9)).html())
    assert held["start"] == {"temperature": 0.7, "topK": 7, "topP": 0.9}


def test_a_theme_that_was_asked_for_is_the_pages(seen: Explored, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    for theme, name in (("dark", "explore"), ("light", "score")):
        done = CliRunner().invoke(app, ["--theme", theme, name, "The king", "--save", str(file)])
        assert done.exit_code == 0, done.output
        assert f'<html lang="en" data-theme="{theme}">' in file.read_text()
    save_page(seen, file)
    assert '<html lang="en">' in file.read_text()


def test_python_saves_it_too(seen: Explored, tmp_path: Path) -> None:
    exploration = gptcli.load("tales").explore("The king and")
    assert isinstance(exploration, Exploration)
    exploration.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == explore_page(seen).html()
    assert "<iframe" in exploration._repr_html_()
