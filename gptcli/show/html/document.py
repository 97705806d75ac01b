"""One HTML file that needs nothing else: its style, script and data are in it, and its own policy holds it to that."""

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import Any

from gptcli.text import visible


def document(title: str, body: str, *, style: str, script: str) -> str:
    """The whole file.

    Args:
        title: what the browser calls it.
        body: HTML, in which everything that came from elsewhere has gone through ``text`` or ``data_element``.
        style, script: the only ones that the page's own policy lets the browser take; it may ask for nothing else.
    """
    policy = f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{text(title)} · gptcli</title>\n<style>{style}</style>\n</head>\n'
        f"<body>\n{body}<script>{script}</script>\n</body>\n</html>\n"
    )


def text(shown: str) -> str:
    """Text, shown and never obeyed: neither by the browser nor by the eye."""
    return html.escape(visible(shown))


def data_element(name: str, data: Any) -> str:
    """What a script reads, as JSON that cannot end the element it stands in."""
    written = json.dumps(data, separators=(",", ":"))
    for character in "<>&":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{name}">{written}</script>'


def own_file(name: str) -> str:
    """A style or script in this folder."""
    return files("gptcli.show.html").joinpath(name).read_text(encoding="utf-8")


def _digest(part: str) -> str:
    """What a content security policy calls this text by (W3C CSP 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
