"""Warnings of the compiler are on, and the library here is of this version of the sources."""

import ctypes
import shutil
from pathlib import Path

import pytest

from gptcli.model.native import build as building
from gptcli.model.native import library


def test_a_warning_would_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are on, so that -Werror means something."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "careless.c").write_text("int careless(int unused) { return 0; }\n")
    monkeypatch.setattr(building, "_FOLDER", tmp_path)
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("no compiler here")
    with pytest.raises(building.NoCompilerError, match="unused"):
        building._compiled([compiler, "-Werror"], tmp_path, [building._Job("careless.c")])


@pytest.mark.skipif(library.library() is None, reason="the engine in C was not built")
def test_the_library_here_is_of_this_version() -> None:
    found = library.library()
    assert found is not None
    assert found.gptcli_abi_version() == library.ABI_VERSION
    assert found.gptcli_struct_size() == ctypes.sizeof(library.Shape)
