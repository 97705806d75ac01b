"""Where gptcli keeps what it can make again."""

import sys
from pathlib import Path

import pytest

from gptcli.errors import GptcliError
from gptcli.system.cache_folder import cache_folder


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GPTCLI_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("platform", "below"),
    [("linux", ".cache/gptcli"), ("darwin", "Library/Caches/gptcli"), ("win32", ".cache/gptcli")],
)
def test_where_the_system_keeps_caches(
    platform: str, below: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == tmp_path / below
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache_folder() == (Path("/local/gptcli/Cache") if platform == "win32" else tmp_path / below)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/gptcli")
    monkeypatch.setenv("GPTCLI_CACHE", "/own")
    assert cache_folder() == Path("/own")


def test_relative_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG's specification has them ignored; what is set for gptcli alone is meant."""
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "gptcli"
    monkeypatch.setenv("GPTCLI_CACHE", "relative")
    assert cache_folder() == Path.cwd() / "relative"


def test_nobody_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(GptcliError, match="set GPTCLI_CACHE"):
        cache_folder()
