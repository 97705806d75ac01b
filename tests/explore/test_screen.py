"""Every key, every tab and every size, with Textual's pilot."""

from typing import Any

import pytest

from gptcli.explore import keys
from gptcli.explore.run import failed
from gptcli.explore.screen import Explorer
from gptcli.explore.views import VIEWS
from gptcli.show.blocks import palette
from tests.explore.conftest import TEXT, Driven
from tests.tales import LAYERS
from tests.test_terminal_safety import ATTACK

MIDDLE = LAYERS // 2  # the layer where it begins, from 0
SIZES = [(40, 12), (60, 20), (72, 24), (80, 24), (100, 30), (132, 43), (200, 60)]


def best(model: Any, text: str) -> bytes:
    """The most probable next token, by a reading of its own."""
    ids = model.encode_prompt(text)
    logits = model.another_engine().prefill([ids], len(ids))[0][: model.n_vocab]
    return bytes(model.tokenizer.token_bytes(int(logits.argmax())))


def test_the_first_screen(drive: Any, model: Any) -> None:
    async def steps(it: Driven) -> None:
        assert len(it.lines) == 24
        assert "tales" in it.lines[0]
        assert "5 of 512 tokens" in it.lines[0]
        assert TEXT in it.shown
        first = next(line for line in it.lines if line.strip().startswith("1 "))
        assert best(model, TEXT).decode().strip() in first

    drive(steps)


def test_tab_takes_the_best_token_and_u_undoes_it(drive: Any, model: Any) -> None:
    async def steps(it: Driven) -> None:
        await it.press("tab")
        once = TEXT + best(model, TEXT).decode()
        assert it.now.text == once
        await it.press("tab")
        assert it.now.text == once + best(model, once).decode()
        await it.press("u", "u")
        assert it.now.text == TEXT
        await it.press("u")
        assert "nothing to undo" in it.shown

    drive(steps)


def test_a_digit_takes_the_token_of_that_rank(drive: Any) -> None:
    async def steps(it: Driven) -> None:
        third = it.screen._answer.distribution.candidates[2]
        await it.press("3")
        assert it.now.ids[-1] == third.id

    drive(steps)


def test_in_the_middle_a_token_replaces_what_followed(drive: Any) -> None:
    async def steps(it: Driven) -> None:
        await it.press("left", "left", "1")
        assert len(it.now.ids) == 4
        assert "cut off" in it.shown
        await it.press("u")
        assert it.now.text == TEXT

    drive(steps)


@pytest.mark.slow
def test_space_draws_the_same_tokens_with_the_same_seed(drive: Any) -> None:
    texts = []

    async def steps(it: Driven) -> None:
        await it.press("space", "space", "space")
        texts.append(it.now.text)

    drive(steps)
    drive(steps)
    assert texts[0] == texts[1]
    assert len(texts[0]) > len(TEXT)


def test_r_runs_until_a_key(drive: Any) -> None:
    async def steps(it: Driven) -> None:
        await it.pilot.press("r")
        for _ in range(400):
            await it.pilot.pause(0.01)
            if len(it.now.ids) >= 8:
                break
        assert it.state.running
        await it.press("x")
        length = len(it.now.ids)
        assert length >= 8
        assert not it.state.running
        await it.pilot.pause(0.2)
        assert len(it.now.ids) == length
        await it.press("u")
        assert it.now.text == TEXT

    drive(steps)


@pytest.mark.slow
def test_typing(drive: Any, model: Any) -> None:
    async def steps(it: Driven) -> None:
        await it.press("i", *["space", "a", "t", "e", "q"])
        assert it.now.text == TEXT + " ateq"
        assert "TYPE" in it.lines[-1]
        await it.press("backspace", "ctrl+left", "X", "home", "delete", "end", "ctrl+j", "tab", "escape")
        assert it.now.text.startswith("he king and the queen Xate\n")
        assert b"".join(it.state.document.tokens).decode() == it.now.text
        assert it.screen._answer.asked.ids == tuple(it.now.ids)
        await it.press("u", "u")
        assert it.now.text == TEXT
        await it.press("enter", "ctrl+w", "ctrl+u", "escape")
        assert it.now.text == ""
        await it.press("tab")
        assert it.now.text != ""

    drive(steps)


@pytest.mark.slow
def test_the_keys_that_turn_and_choose(drive: Any) -> None:
    async def steps(it: Driven) -> None:
        await it.press("plus", "plus", "minus", "k", "p")
        sampling = it.state.sampling
        assert (sampling.temperature, sampling.top_k, sampling.top_p) == (1.1, 1000, 0.99)
        await it.press("K", "P", "0")
        assert it.state.sampling.temperature == 1
        await it.press("up", "h", "H", "down", "down")
        assert (it.state.layer, it.state.head) == (MIDDLE - 1 + 2, 0)
        await it.press("home")
        assert it.state.cursor == 0
        await it.press("right", "end", "left")
        assert it.state.cursor == 3

    drive(steps)


def test_temperature_moves_the_bars(drive: Any) -> None:
    async def steps(it: Driven) -> None:
        before = it.screen._answer.distribution.candidates[0].probability
        await it.press("minus", "minus", "minus")
        after = it.screen._answer.distribution.candidates[0]
        assert after.probability > before == pytest.approx(after.model_probability)

    drive(steps)


@pytest.mark.slow
def test_a_head_that_is_out_changes_what_comes(drive: Any, tales: Any) -> None:
    async def steps(it: Driven) -> None:
        before = it.screen._answer.distribution.candidates[0].probability
        await it.press("o")
        answer = it.screen._answer
        assert answer.whole.candidates + answer.whole.watched
        assert answer.distribution.candidates[0].probability != before
        assert f"without {MIDDLE + 1}.1" in it.shown
        await it.press("m", "O")
        assert it.screen._answer.distribution.candidates[0].probability == pytest.approx(before)

    drive(steps)


@pytest.mark.slow
def test_every_tab_follows_the_text(drive: Any, tales: Any) -> None:
    async def steps(it: Driven) -> None:
        for view in VIEWS:
            await it.press(view.key)
            assert it.state.view == view.name
            assert "…" not in it.lines[0]
            shown = it.shown
            await it.press("home")
            assert it.shown != shown
            await it.press("down", "end", "t")
            assert view.stop in it.shown
            await it.press("x")

    drive(steps, size=(120, 40))


@pytest.mark.slow
def test_every_key(drive: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def steps(it: Driven) -> None:
        await it.press("w")
        for key in keys.WALKING:
            if key.action[0] in ("leave", "interrupt", "edit", "run", "next_view"):
                continue
            await it.press(key.names[0])
            if key.action[0] in ("help", "tour"):
                assert "key closes this" in it.shown
                await it.press("x")
        await it.press("shift+tab", "i")
        for key in keys.EDITING:
            if key.action[0] not in ("leave", "interrupt", "walk"):
                await it.press(key.names[0])

    drive(steps)
    assert (tmp_path / "explore.svg").read_text().startswith("<svg")
    assert "<html" in (tmp_path / "explore.html").read_text()


@pytest.mark.slow
def test_every_tab_at_every_size(drive: Any, tales: Any) -> None:
    async def steps(it: Driven) -> None:
        for view in VIEWS:
            await it.press(view.key)
            for size in SIZES:
                await it.pilot.resize_terminal(*size)
                await it.settle()
                assert len(it.lines) == size[1]
                assert max(strip.cell_length for strip in it.app.screen.board._strips) <= size[0]  # type: ignore[attr-defined]
                assert view.title in it.shown
                assert it.lines[-1].strip().startswith("KEYS")

    drive(steps)


def test_a_terminal_of_nothing_and_back(drive: Any) -> None:
    async def steps(it: Driven) -> None:
        for size in ((1, 1), (2, 50), (500, 1), (23, 7), (80, 24)):
            await it.pilot.resize_terminal(*size)
            await it.press("right", "tab")
        assert "tales" in it.lines[0]

    drive(steps)


@pytest.mark.slow
def test_no_colour_means_none(drive: Any) -> None:
    async def steps(it: Driven) -> None:
        for key in "alw":
            await it.press(key)
            lines = it.app.screen._compositor.render_strips(None)
            styles = [segment.style for strip in lines for segment in strip if segment.style is not None]
            assert all(style.color is None and style.bgcolor is None for style in styles)

    drive(steps, coloured=False, theme=palette.LIGHT)


@pytest.mark.slow
def test_what_is_typed_and_pasted_is_text(drive: Any) -> None:
    async def steps(it: Driven) -> None:
        it.screen.paste(ATTACK)
        await it.settle()
        for key in "alw":
            await it.press("escape", key)
            shown = it.shown.replace("\n", "")
            assert shown.isprintable()
            assert "[bold red]loud[/]" in shown
        await it.press("i")

    drive(steps, size=(200, 60))


@pytest.mark.slow
def test_more_than_the_context_holds(drive: Any) -> None:
    async def steps(it: Driven) -> None:
        it.screen.paste(" word" * 600)
        await it.settle()
        await it.press("escape", "end", "tab")
        assert "the model reads 512 tokens" in it.shown
        assert len(it.screen._answer.reading.ids) == 512

    drive(steps)


def test_the_mouse(drive: Any) -> None:
    async def steps(it: Driven) -> None:
        row = next(number for number, line in enumerate(it.lines) if TEXT in line)
        await it.pilot.click(offset=(it.lines[row].index("king"), row))
        await it.settle()
        assert it.state.cursor == 1
        row = next(number for number, line in enumerate(it.lines) if "lens" in line)
        await it.pilot.click(offset=(it.lines[row].index("lens"), row))
        await it.settle()
        assert it.state.view == "lens"
        row = next(number for number, line in enumerate(it.lines) if line.startswith("  2 "))
        second = it.screen._answer.distribution.candidates[1].id
        await it.pilot.click(offset=(5, row))
        await it.settle()
        assert it.now.ids == (*it.state.document.encode("The king"), second)

    drive(steps)


def test_an_exception_ends_the_program(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, steps: int) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Explorer, "do_layers", fail)

    async def steps(it: Driven) -> None:
        await it.press("up")

    with pytest.raises(ZeroDivisionError):
        drive(steps)
    told = failed(ZeroDivisionError("a\x1b[2J bug"))
    assert (str(told).count("\n"), "\x1b" in str(told), told.exit_code) == (0, False, 1)


def test_quitting(drive: Any) -> None:
    async def quits(it: Driven) -> None:
        await it.pilot.press("q")

    async def interrupts(it: Driven) -> None:
        await it.pilot.press("ctrl+c")

    assert drive(quits).return_value == 0
    assert drive(interrupts).return_value == 130
