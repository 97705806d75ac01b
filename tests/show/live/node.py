"""The page's scripts in node, which has what they need of a browser; without a node, what needs one is skipped."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import gptcli.show.live

SCRIPTS = Path(gptcli.show.live.__file__).parent
_PRELUDE = """
const { readFileSync } = require("node:fs");
const load = (name) => require(`${process.argv[1]}/${name}.js`);
for (const name of ["unpack", "tokenizer", "engine", "service"]) Object.assign(globalThis, load(name));
const given = JSON.parse(readFileSync(0, "utf8"));
const numbers = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
(async () => { %s })().then((said) => console.log(JSON.stringify(said)));
"""


@cache
def _node() -> str | None:
    """The path of a node that is new enough."""
    path = shutil.which("node")
    if path is None:
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return path if int(said.lstrip("v").split(".")[0]) >= 18 else None


def run(script: str, given: Any) -> Any:
    """What an asynchronous script returns, as JSON.

    Args:
        script: the body of a function; it sees the page's functions, ``given``, and ``numbers``, which makes base64 of
            a typed array.
        given: JSON.
    """
    path = _node()
    if path is None:
        pytest.skip("no node on this machine, or an old one")
    done = subprocess.run(
        [path, "-e", _PRELUDE % script, str(SCRIPTS)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
