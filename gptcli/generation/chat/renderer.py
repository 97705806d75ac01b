"""Renders chat templates in a separate process (``sandbox``), which is killed if it does not finish in time."""

import json
import signal
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gptcli.errors import CheckpointError, GptcliError, InputError
from gptcli.generation.chat import sandbox
from gptcli.text import clipped

# Wall-clock seconds until a template is given up. On a busy machine the process may get little CPU time in them, so its
# own limit, on CPU time, is the stricter one.
_PATIENCE = 20.0
# Bytes of an answer: each character may be written as \\uXXXX twice.
_MOST_BYTES = 12 * sandbox.MOST_CHARACTERS + 1_000


class Renderer:
    """Renders one model's templates.

    The process is started by the constructor, so that it is ready when the model is, and restarted after it was killed.

    Raises:
        GptcliError: Jinja2 is not installed, or the process cannot be started.
    """

    def __init__(self) -> None:
        self._lock, self._gave_up = threading.Lock(), threading.Event()
        self._process = _start()
        self._finalizer = weakref.finalize(self, _stop, self._process)

    def render(self, template: str, variables: dict[str, Any], place: str) -> str:
        """Render a template with some variables.

        Args:
            template: the template's text.
            variables: its variables, of JSON's types.
            place: the template's name, for errors.

        Raises:
            InputError: the template refuses these messages (``raise_exception``).
            CheckpointError: the template does not parse, fails, or exceeds the limits on time or memory.
        """
        request = json.dumps({"template": template, "variables": variables}).encode() + b"\n"
        with self._lock:
            answer = self._ask(request)
        if "text" in answer:
            return str(answer["text"])
        raise _failed(place, answer)

    def close(self) -> None:
        """End the process."""
        self._finalizer()

    def _ask(self, request: bytes) -> dict[str, Any]:
        """The process's answer, or a failure that says how it ended."""
        if not self._finalizer.alive or self._process.poll() is not None:
            self.close()
            self._process = _start()
            self._finalizer = weakref.finalize(self, _stop, self._process)
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        self._gave_up.clear()
        alarm = threading.Timer(_PATIENCE, self._give_up, [process])
        alarm.daemon = True
        alarm.start()
        try:
            process.stdin.write(request)
            process.stdin.flush()
            line = process.stdout.readline(_MOST_BYTES)
            answer = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):  # it has ended
            answer = None
        except BaseException:  # Ctrl-C: a late answer must not be taken for the next request's
            self.close()
            raise
        finally:
            alarm.cancel()
        if isinstance(answer, dict):
            return answer
        over = self._gave_up.is_set()
        self._finalizer.detach()
        code = _stop(process, 1)  # its stdout is closed, so it is exiting; a kill would hide the exit code
        return {"failure": "time" if over or code == -getattr(signal, "SIGXCPU", 0) else "died"}

    def _give_up(self, process: "subprocess.Popen[bytes]") -> None:
        self._gave_up.set()
        process.kill()


def _start() -> "subprocess.Popen[bytes]":
    folders = []
    for library in ("jinja2", "markupsafe"):
        spec = find_spec(library)
        if spec is None or spec.origin is None:
            raise GptcliError(f"chat templates need {library}, which is not installed: pip install {library}")
        folders.append(str(Path(spec.origin).resolve().parent.parent))
    # -I and -S: the user's settings and folders do not affect its imports. A session of its own: Ctrl-C in the terminal
    # does not reach it.
    command = [sys.executable, "-I", "-S", str(Path(sandbox.__file__)), *dict.fromkeys(folders)]
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        raise GptcliError(f"cannot start the process that renders chat templates: {error.strerror or error}") from error


def _stop(process: "subprocess.Popen[bytes]", patience: float = 0) -> int:
    """Kill the process if it does not exit within ``patience`` seconds; returns its exit code."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):  # unread input
                stream.close()
    return process.wait()


def _failed(place: str, answer: dict[str, Any]) -> GptcliError:
    """The error for a template that was not rendered."""
    message = clipped(" ".join(str(answer.get("message") or "").split()), 300)
    line = f", line {answer['line']}" if answer.get("line") else ""
    match answer.get("failure"):
        case "refused":
            return InputError(f"the model's chat template says: {message}")
        case "large":
            return _unusable(place, f"its result has more than {sandbox.MOST_CHARACTERS:,} characters")
        case "memory":
            return _unusable(place, f"it takes more than {sandbox.MOST_MEMORY / 1e6:,.0f} MB of memory")
        case "time":
            return _unusable(place, f"it does not come to an end within {sandbox.MOST_SECONDS} seconds")
        case "died":
            return _unusable(place, "the process that renders it broke down")
        case "syntax":
            return _unusable(f"{place}{line}", f"it is not valid Jinja: {message}")
        case _:
            return _unusable(f"{place}{line}", message or "it fails")


def _unusable(place: str, reason: str) -> CheckpointError:
    return CheckpointError(f"{place}: the chat template cannot be used: {reason} (--no-template does without it)")
