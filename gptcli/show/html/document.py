"""A self-contained HTML file: style, script and data are inside, and its security policy allows nothing else."""

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import Any

from gptcli.text import visible


def document(
    title: str, body: str, *, style: str, script: str, kind: str = "plain", wasm: bool = False, theme: str | None = None
) -> str:
    """The whole file.

    Args:
        title: in the browser.
        body: HTML; all untrusted text in it is from ``text`` or ``data_element``.
        kind: class of the body: where its numbers stand.
        style, script: the only ones that the page's policy allows; it makes no requests.
        theme: ``dark`` or ``light``; None: as the reader's system has it.
        wasm: whether the script compiles WebAssembly that the page holds, and runs it in a worker.
    """
    policy = f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    policy += " 'wasm-unsafe-eval'; worker-src blob:" if wasm else ""
    chosen = "" if theme is None else f' data-theme="{theme}"'
    return (
        f'<!DOCTYPE html>\n<html lang="en"{chosen}>\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{text(title)} · gptcli</title>\n<style>{style}</style>\n</head>\n'
        f'<body id="top" class="{kind}">\n{body}<script>{script}</script>\n</body>\n</html>\n'
    )


def text(shown: str) -> str:
    """Text escaped for HTML, with control characters made visible."""
    return html.escape(visible(shown))


def data_element(name: str, data: Any) -> str:
    """Data for a script, as JSON that cannot end its element."""
    written = json.dumps(data, separators=(",", ":"))
    for character in "<>&":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{name}">{written}</script>'


def own_file(name: str) -> str:
    """A style or script in this folder."""
    return files("gptcli.show.html").joinpath(name).read_text(encoding="utf-8")


def _digest(part: str) -> str:
    """The hash of a text in a content security policy (W3C CSP 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
