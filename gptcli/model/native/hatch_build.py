"""Hatchling's hook: the wheel carries the compiled library where there was a compiler, and is pure Python otherwise."""

import importlib.util
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles ``src/`` before files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the library into the package, and say that the wheel belongs to this platform."""
        if self.target_name != "wheel":
            return
        room = Path(self.root) / "gptcli" / "model" / "native"
        specification = importlib.util.spec_from_file_location("native_build", room / "build.py")
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        try:
            library = module.build()
        except module.NoCompilerError as error:
            self.app.display_warning(f"without the engine in C: {error}")
            return
        build_data["artifacts"].append(library.relative_to(self.root).as_posix())
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
