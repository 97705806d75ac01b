"""The program without a terminal: Textual's pilot presses keys, and the board is read as lines."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import pytest

from gptcli.checkpoint.open import OpenCheckpoint, open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.cli.tour import STOPS
from gptcli.explore.app import ExploreApp
from gptcli.explore.screen import Setup
from gptcli.sampling.settings import Sampling
from gptcli.show.blocks import palette

TEXT = "The king and the queen"
Drive = Callable[["Driven"], Awaitable[None]]


class Driven:
    """A running program."""

    def __init__(self, app: ExploreApp, pilot: Any) -> None:
        self.app, self.pilot = app, pilot

    @property
    def screen(self) -> Any:
        """The explorer, as whose parts tests look at it."""
        return self.app.explorer

    @property
    def state(self) -> Any:
        return self.app.explorer.state

    @property
    def now(self) -> Any:
        return self.app.explorer.state.document.now

    @property
    def lines(self) -> list[str]:
        """The lines of the uppermost screen, as they are shown."""
        board: Any = self.app.screen
        return [strip.text for strip in board.board._strips]

    @property
    def shown(self) -> str:
        return "\n".join(self.lines)

    async def settle(self) -> None:
        """Wait until everything that is wanted has come, and is drawn."""
        end = monotonic() + 60
        while True:
            await self.pilot.pause(0.002)
            if not (self.app.explorer.busy or self.app.explorer.state.running):
                break
            assert monotonic() < end, "no answer in time"
        await self.pilot.pause()
        self.app.redraw()

    async def press(self, *names: str) -> None:
        for name in names:
            await self.pilot.press(name)
            await self.settle()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pilot does not wait for a quiet processor after each key: ``settle`` knows when an answer is there."""

    async def no_wait(*seconds: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr("textual.app.wait_for_idle", no_wait)
    monkeypatch.setattr("textual.pilot.wait_for_idle", no_wait)


@pytest.fixture(scope="session")
def model() -> OpenCheckpoint:
    """The bundled model as the command opens it: in C where that runs."""
    return open_checkpoint("tales", Placement(device="cpu", dtype="float32"), inside=False)


@pytest.fixture(scope="session")
def drive(model: OpenCheckpoint) -> Callable[..., ExploreApp]:
    """Run the program with a function that presses keys; returns the program, which has ended."""

    def run(
        steps: Drive,
        text: str = TEXT,
        size: tuple[int, int] = (80, 24),
        coloured: bool = True,
        sampling: Sampling | None = None,
        checkpoint: OpenCheckpoint | None = None,
        theme: palette.Theme = palette.DARK,
    ) -> ExploreApp:
        words = {stop.title: stop for stop in STOPS}
        setup = Setup(checkpoint or model, text, sampling or Sampling(), 1, words)
        app = ExploreApp(setup, coloured=coloured, theme=theme)

        async def go() -> None:
            async with app.run_test(size=size) as pilot:
                driven = Driven(app, pilot)
                await driven.settle()
                await steps(driven)

        asyncio.run(go())
        return app

    return run
