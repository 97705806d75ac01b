"""The style and the script of the views, in the order in which they have to stand."""

from importlib.resources import files

_SCRIPTS = (
    "reading.js",
    "asked.js",
    "sampling.js",
    "dom.js",
    "text_view.js",
    "arcs_view.js",
    "lens_view.js",
    "map_view.js",
    "heads_view.js",
    "next_view.js",
    "write.js",
    "explore.js",
)


def explore_style() -> str:
    """The rules of the views; all are inside ``.explore``."""
    return _file("explore.css")


def explore_script() -> str:
    """The views, in one scope."""
    return "\n".join(map(_file, _SCRIPTS))


def _file(name: str) -> str:
    return files("gptcli.show.explore_page").joinpath(name).read_text(encoding="utf-8")
