"""Hatchling build hook: the wheel contains the compiled library if there is a compiler, and is pure Python otherwise.

A wheel without the library contains the reason (``build.WHY_NOT``), as pip hides warnings of a build: ``gptcli
--version --verbose`` prints it.
"""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles ``src/`` before files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the library into the package, and tag the wheel for this platform."""
        if self.target_name != "wheel":
            return
        folder = Path(self.root) / "gptcli" / "model" / "native"
        builder = _loaded(folder / "build.py")
        why_not = folder / builder.WHY_NOT
        try:
            made = builder.build()
        except builder.NoCompilerError as error:
            self.app.display_warning(f"without the engine in C: {error}")
            why_not.write_text(f"{error}\n", encoding="utf-8")
            build_data["artifacts"].append(why_not.relative_to(self.root).as_posix())
            return
        why_not.unlink(missing_ok=True)
        build_data["artifacts"].append(made.relative_to(self.root).as_posix())
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{builder.target().tag}"


def _loaded(path: Path) -> Any:
    """Import a module from its file: while a wheel is built, the package itself cannot be imported."""
    specification = importlib.util.spec_from_file_location("native_build", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
