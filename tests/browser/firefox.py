"""A headless Firefox, over its Marionette protocol: no driver and no package needed.

Messages are JSON after their length: ``12:[0, 1, "name", {}]`` is command 1, ``[1, 1, error, result]`` its answer
(https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html).
"""

import base64
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("firefox-esr", "firefox")
# No first page, no updates, nothing that asks the network for something.
PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage": "about:blank",
    "browser.startup.page": 0,
    "app.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "",
    "toolkit.telemetry.enabled": False,
    "trailhead.firstrun.didSeeAboutWelcome": True,
}
# Named keys of WebDriver (section 17.4.2).
KEYS = {
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Home": "\ue011",
    "End": "\ue010",
    "Backspace": "\ue003",
}
KEYS |= {f"Arrow{way}": chr(0xE012 + place) for place, way in enumerate(("Left", "Up", "Right", "Down"))}


def find() -> str | None:
    """The path of a Firefox, if this machine has one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Firefox:
    """One browser with one page; ``errors`` lists what its pages did wrong since the latest ``open``."""

    def __init__(self, path: str, profile: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        profile.mkdir(parents=True, exist_ok=True)
        told = PREFERENCES | {"marionette.port": port}
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in told.items())
        (profile / "user.js").write_text("".join(lines))
        self._process = subprocess.Popen(
            [path, "--headless", "--no-remote", "--marionette", "--profile", str(profile), "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._number = 0
        try:
            with self._connected(port) as connection:
                self._file = connection.makefile("rwb")
            self._read()  # its greeting
            self.send("WebDriver:NewSession", acceptInsecureCerts=True)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _connected(self, port: int, seconds: float = 60) -> socket.socket:
        """A connection, as soon as the browser listens."""
        end = time.monotonic() + seconds
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=120)
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def close(self) -> None:
        """End the browser."""
        try:
            self.send("Marionette:Quit", flags=["eForceQuit"])
            self._process.wait(timeout=10)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._file.close()

    def send(self, name: str, **parameters: Any) -> Any:
        """One command; its answer."""
        self._number += 1
        message = json.dumps([0, self._number, name, parameters]).encode()
        self._file.write(b"%d:%b" % (len(message), message))
        self._file.flush()
        _, _, error, result = self._read()
        if error:
            raise RuntimeError(f"{name}: {error['error']}: {error['message']}")
        return result.get("value") if isinstance(result, dict) else result

    def _read(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            more = self._file.read(1)
            if not more:
                raise RuntimeError("Firefox ended")
            length += more
        return json.loads(self._file.read(int(length[:-1])))

    def open(self, file: Path, *, width: int = 1200, height: int = 900) -> None:
        """Show a file, in a window of this size."""
        self.send("WebDriver:SetWindowRect", width=width, height=height)
        self.send("WebDriver:Navigate", url=file.as_uri())

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression, or what its promise becomes."""
        script = (
            "const done = arguments[arguments.length - 1];"
            f"Promise.resolve().then(() => ({expression}))"
            ".then(value => done({ value }), error => done({ error: `${error}` }));"
        )
        said = self.send("WebDriver:ExecuteAsyncScript", script=script, args=[], scriptTimeout=60_000)
        if "error" in said:
            raise RuntimeError(said["error"])
        return said.get("value")

    def type(self, text: str) -> None:
        """Press the keys of a text, or those of a name in ``KEYS``."""
        keys = [KEYS.get(text, text)] if text in KEYS else text
        actions = [{"type": way, "value": key} for key in keys for way in ("keyDown", "keyUp")]
        self.send("WebDriver:PerformActions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def picture(self, file: Path) -> None:
        """Save what is on the screen as a PNG."""
        file.write_bytes(base64.b64decode(self.send("WebDriver:TakeScreenshot", full=False)))
