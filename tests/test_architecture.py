"""The picture of the code: packages in floors, each importing from those below it, and no circle.

Every import counts, also inside functions and for types only: what a reader has to know is the same. Between the files
of one package types may go around in a circle; nothing else does.
"""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import gptcli

PACKAGE = Path(gptcli.__file__).parent
# From the ground up: a package imports those that stand before it.
FLOORS = (
    "errors",
    "text",
    "system",
    "tokenizer",
    "model",
    "checkpoint.files",
    "checkpoint.hub",
    "checkpoint.families",
    "checkpoint.weights",
    "checkpoint",
    "sampling",
    "probability",
    "generation",
    "counting",
    "embedding",
    "inspection",
    "measuring",
    "show",
    "explore",
    "api",
    "cli",
)
# What runs against the floors, and why; at most three.
UPWARD: dict[tuple[str, str], str] = {}
# The faces of the whole: what they import, they only hand on.
FACES = ("gptcli", "gptcli.__main__")


def module_names() -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = module_names()


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported(path: Path, *, types: bool = True) -> set[str]:
    """The modules of ours that a file imports, wherever it does so; ``types``: also those under ``TYPE_CHECKING``."""
    names = set()
    nodes: list[ast.AST] = [parsed(path)]
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not types:
            nodes += node.orelse
        elif not isinstance(node, ast.expr):  # no import is in one
            nodes += ast.iter_child_nodes(node)
    return {module for name in names if (module := known_part(name))}


def known_part(name: str) -> str:
    """The longest beginning of a dotted name that is a module of ours, or nothing."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def floor(module: str) -> str:
    """The package of ``FLOORS`` that a module belongs to."""
    inside = module.removeprefix("gptcli.")
    return max((each for each in FLOORS if inside == each or inside.startswith(f"{each}.")), key=len)


@cache
def arrows() -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Package to package: the pairs of modules behind it."""
    found: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for module, path in MODULES.items():
        if module in FACES:
            continue
        for other in imported(path) - set(FACES):
            if floor(module) != floor(other):
                found[floor(module), floor(other)].add((module, other))
    return found


def test_every_module_has_a_floor() -> None:
    homeless = [
        name
        for name in MODULES
        if name not in FACES
        and not any(name.removeprefix("gptcli.").split(".")[0] == each.split(".")[0] for each in FLOORS)
    ]
    assert homeless == []


def test_packages_import_only_what_stands_below_them() -> None:
    upward = {pair: files for pair, files in arrows().items() if FLOORS.index(pair[1]) > FLOORS.index(pair[0])}
    assert len(UPWARD) <= 3
    assert upward.keys() == UPWARD.keys(), {pair: sorted(files) for pair, files in upward.items()}


def circle(below: dict[str, set[str]]) -> list[str]:
    """What is left of a graph when everything that leads to an end is taken away: circles, and what leads to them."""
    left = dict(below)
    while done := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in done}
    return sorted(left)


def test_packages_form_no_circle() -> None:
    below = defaultdict(set)
    for source, target in arrows():
        below[source].add(target)
    assert circle(below) == []


def test_files_form_no_circle() -> None:
    below = {name: imported(path, types=False) - {name, *FACES} for name, path in MODULES.items() if name not in FACES}
    assert circle(below) == []
    below["gptcli.errors"] = {"gptcli.cli.app"}
    assert "gptcli.errors" in circle(below)


def test_each_package_says_what_is_in_it() -> None:
    for name, path in MODULES.items():
        if path.name == "__init__.py":
            assert ast.get_docstring(parsed(path)), f"{name} says nothing of itself"
