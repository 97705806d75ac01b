"""The program that renders chat templates, in a process of its own so that it can be killed.

A template is code from a model's folder. Jinja2's sandbox keeps it from the interpreter's internals, but not from
looping forever or exhausting memory, often inside a single C call that no signal handler can interrupt. So it runs
here: the operating system limits this process's memory and CPU time, and ``renderer`` kills it if it does not answer.

It is started by path, with Jinja2's folders as arguments, and imports nothing from gptcli. Each line of its stdin is a
request, a JSON object with ``template`` and ``variables``. Each line of its stdout is the result: ``text``, or a
``failure`` with ``message`` and ``line``: ``refused`` (by the template's own ``raise_exception``), ``syntax``,
``large``, ``memory`` or ``error``. The Jinja2 environment is that of Hugging Face transformers, for which these
templates are written.
"""

import json
import sys
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any

# The limits on this process's address space (Python and Jinja2 take a tenth of it) and on the size of a result.
MOST_MEMORY = 400_000_000
MOST_CHARACTERS = 4_000_000
# Seconds of CPU time that one request may take.
MOST_SECONDS = 2


class Refused(Exception):
    """A template called ``raise_exception``."""


class TooLarge(Exception):
    """The result is longer than any conversation."""


def main(folders: list[str]) -> None:
    """Answer requests until stdin ends.

    Args:
        folders: the folders of Jinja2 and its dependencies.
    """
    sys.path += folders
    datetime.now().astimezone()  # loads the time zone before files become inaccessible
    templates = _environment()
    _limit_process()
    for line in sys.stdin.buffer:
        _limit_time()
        try:
            answer = _answer(templates, json.loads(line))
        except MemoryError:
            answer = {"failure": "memory"}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def _answer(environment: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Render one template; returns the text or the failure."""
    from jinja2 import TemplateSyntaxError

    try:
        template = _compiled(environment, request["template"])
        return {"text": _joined(template.generate(request["variables"]))}
    except Refused as error:
        return {"failure": "refused", "message": str(error)[:2000]}
    except TooLarge:
        return {"failure": "large"}
    except TemplateSyntaxError as error:
        return {"failure": "syntax", "message": str(error.message)[:500], "line": error.lineno}
    except MemoryError:
        return {"failure": "memory"}
    except Exception as error:  # a template may raise any exception
        said = "it calls itself without end" if isinstance(error, RecursionError) else str(error)
        return {"failure": "error", "message": said[:500], "line": _line(error)}


@lru_cache(maxsize=4)
def _compiled(environment: Any, text: str) -> Any:
    return environment.from_string(text)


def _joined(pieces: Any) -> str:
    kept, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > MOST_CHARACTERS:
            raise TooLarge
        kept.append(piece)
    return "".join(kept)


def _line(error: BaseException) -> int | None:
    """The template's line that raised an error: Jinja2 puts it into the traceback."""
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _environment() -> Any:
    """The Jinja2 environment that chat templates expect."""
    import jinja2.debug  # imported by Jinja2 at the first error, when it may be too late  # noqa: F401
    from jinja2 import ext, nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(ext.Extension):
        """``{% generation %}``, which marks the model's text for training; here its body is rendered unchanged."""

        tags = {"generation"}  # noqa: RUF012  # declared so by Jinja2

        def parse(self, parser: Any) -> Any:
            """The statements up to ``{% endgeneration %}``, in a scope of their own, as in transformers."""
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("rendered"), [], [], body).set_lineno(line)

        def rendered(self, caller: Any) -> Any:
            """The body."""
            return caller()

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols], cache_size=0
    )
    made.filters["tojson"] = _to_json
    made.globals |= {
        "raise_exception": _raise,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "dict": lambda *given, **named: dict(*given, **named),
        "namespace": _namespace(),
    }
    return made


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """The filter ``tojson``; unlike Jinja2's own it does not escape HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: object) -> None:
    raise Refused(message)


def _namespace() -> Any:
    """Jinja2's namespace, without names that begin with an underscore: they would allow an escape from the sandbox."""
    from jinja2.exceptions import SecurityError
    from jinja2.utils import Namespace

    class Checked(Namespace):
        def __init__(*given: Any, **named: Any) -> None:
            own, *rest = given
            values = dict(*rest, **named)
            for name in values:
                _check(name)
            Namespace.__init__(own, values)

        def __setitem__(self, name: str, value: Any) -> None:
            _check(name)
            super().__setitem__(name, value)

    def _check(name: object) -> None:
        if str(name).startswith("_"):
            raise SecurityError(f"a namespace takes no name like {name!r:.40}")

    return Checked


def _limit_process() -> None:
    """Limit memory, and forbid writing files and starting processes, from now on. Does nothing on Windows."""
    with suppress(ImportError):
        import resource

        bounds = {
            resource.RLIMIT_AS: MOST_MEMORY,
            resource.RLIMIT_FSIZE: 0,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_NPROC: 0,
        }
        for kind, most in bounds.items():
            hard = resource.getrlimit(kind)[1]
            with suppress(ValueError, OSError):  # macOS defines some of them but does not support them
                wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
                resource.setrlimit(kind, (wanted, wanted))


def _limit_time() -> None:
    """Have the system kill this process after some more seconds of CPU time. Does nothing on Windows."""
    with suppress(ImportError):
        import resource
        import time

        soon = int(time.process_time()) + 1 + MOST_SECONDS
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (soon if hard == resource.RLIM_INFINITY else min(soon, hard), hard))


if __name__ == "__main__":
    main(sys.argv[1:])
