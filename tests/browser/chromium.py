"""A headless Chromium to point, type and tap in, over its DevTools pipe: no driver and no network needed.

Commands are JSON, ended by a NUL, into the browser's file 3; answers and events come out of its file 4
(https://chromedevtools.github.io/devtools-protocol/, --remote-debugging-pipe).
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--no-default-browser-check", "--remote-debugging-pipe"),
)
# What a physical key is called: its code for the protocol, and the text it types.
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "Escape": (27, ""), "End": (35, ""), "Home": (36, "")}
KEYS |= {f"Arrow{way}": (37 + place, "") for place, way in enumerate(("Left", "Up", "Right", "Down"))}


def find() -> str | None:
    """The path of a Chromium, if this machine has one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser with one page; ``requested`` lists every address that it asked for."""

    def __init__(self, path: str, profile: Path) -> None:
        command_out, self._in = os.pipe()
        self._out, answer_in = os.pipe()
        # Above 9, so that neither is overwritten while they are moved to 3 and 4.
        moved = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (command_out, answer_in)]
        arguments = [path, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{moved[0]} 4>&{moved[1]}', "bash", *arguments],
            pass_fds=moved,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (command_out, answer_in, *moved):
            os.close(end)
        self._number, self._read = 0, b""
        self._session: str | None = None
        self.requested: list[str] = []
        self.errors: list[str] = []
        self._loaded = False
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        os.close(self._in)  # which it takes as its end
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._out)

    def send(self, method: str, **parameters: Any) -> Any:
        """One command; its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while True:
            got = self._next()
            if got.get("id") == self._number:
                if "error" in got:
                    raise RuntimeError(f"{method}: {got['error']}")
                return got["result"]

    def _next(self, seconds: float = 60) -> dict[str, Any]:
        """The next answer or event; what was requested, and what went wrong, is kept."""
        end = time.monotonic() + seconds
        while b"\0" not in self._read:
            if not select.select([self._out], [], [], max(end - time.monotonic(), 0))[0]:
                raise TimeoutError("Chromium did not answer")
            data = os.read(self._out, 1 << 16)
            if not data:
                raise RuntimeError("Chromium ended")
            self._read += data
        message, _, self._read = self._read.partition(b"\0")
        got: dict[str, Any] = json.loads(message)
        match got.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(got["params"]["request"]["url"])
            case "Runtime.exceptionThrown" | "Log.entryAdded":
                self.errors.append(json.dumps(got["params"]))
            case "Page.loadEventFired":
                self._loaded = True
        return got

    def open(
        self, file: Path, *, width: int = 1200, height: int = 900, dark: bool = False, touch: bool = False
    ) -> None:
        """Show a file, on a screen of this size."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.send("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.requested, self.errors, self._loaded = [], [], False
        self.send("Page.navigate", url=file.as_uri())
        while not self._loaded:
            self._next()
        # What is not yet drawn does not feel a pointer.
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def place(self, selector: str, number: int = 0) -> tuple[float, float]:
        """The middle of an element, scrolled into view."""
        x, y = self.ask(
            f"(() => {{ const all = document.querySelectorAll({json.dumps(selector)})[{number}];"
            " all.scrollIntoView({block: 'center'}); const box = all.getClientRects()[0];"
            " return [box.left + box.width / 2, box.top + box.height / 2]; })()"
        )
        return float(x), float(y)

    def hover(self, selector: str, number: int = 0) -> None:
        """Move the mouse onto an element."""
        x, y = self.place(selector, number)
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector: str, number: int = 0) -> None:
        """Press and release the mouse on an element."""
        x, y = self.place(selector, number)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, selector: str, number: int = 0) -> None:
        """Touch an element with a finger."""
        x, y = self.place(selector, number)
        self.send("Input.synthesizeTapGesture", x=x, y=y, gestureSourceType="touch")

    def press(self, key: str) -> None:
        """Press and release a key."""
        code, text = KEYS[key] if key in KEYS else (ord(key.upper()), key)
        named = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", **named, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **named)

    def picture(self, file: Path) -> None:
        """Save what is on the screen as a PNG."""
        import base64

        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))
