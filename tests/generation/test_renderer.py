"""The process that renders templates: what goes wrong in it, and that nothing of it gets out."""

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gptcli.errors import CheckpointError, GptcliError, InputError
from gptcli.generation.chat import renderer as module
from gptcli.generation.chat import sandbox
from gptcli.generation.chat.renderer import Renderer

PLACE = "/models/x/chat_template.jinja"


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


def render(renderer: Renderer, template: str, **variables: Any) -> str:
    return renderer.render(template, variables, PLACE)


def test_what_transformers_has_and_jinja_has_not(renderer: Renderer) -> None:
    assert render(renderer, "{{ x | tojson }}", x={"<b>": "é", "n": None}) == '{"<b>": "é", "n": null}'
    assert (
        render(renderer, "{{ x | tojson(indent=2, sort_keys=true) }}", x={"b": 1, "a": 2})
        == '{\n  "a": 2,\n  "b": 1\n}'
    )
    assert render(renderer, "{{ strftime_now('%Y')|length }}") == "4"
    assert render(renderer, "{{ dict(a=1).a }}{% set n = namespace(a=2) %}{% set n.a = 3 %}{{ n.a }}") == "13"
    assert render(renderer, "{% for x in 'abc' %}{% if x == 'b' %}{% continue %}{% endif %}{{ x }}{% endfor %}") == "ac"
    assert render(renderer, "a{% generation %}{{ x }}{% endgeneration %}b", x="\ud800é") == "a\ud800éb"
    assert render(renderer, "{{ undefined_name }}{% if not another %}no{% endif %}") == "no"
    assert render(renderer, "  {% if true %}\n  x\n  {% endif %}\n") == "  x\n"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ 'a' * 10**10 }}", "it takes more than 400 MB of memory"),
        ("{{ [0] * 10**9 }}", "it takes more than 400 MB of memory"),
        ("{{ '{:1000000000}'.format(1) }}", "it takes more than 400 MB of memory"),
        ("{{ ('a' * 1000000) | replace('a', 'b' * 1000) }}", "it takes more than 400 MB of memory"),
        (
            "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
            "it takes more than 400 MB of memory",
        ),
        ("{% for i in range(10**9) %}{% endfor %}", "line 1: the chat template cannot be used: Range too big"),
        ("{% for i in range(99999) %}{{ 'a' * 50 }}{% endfor %}", "its result has more than 4,000,000 characters"),
        ("x\n{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "it calls itself without end"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "it calls itself without end"),
        ("{{ " + "-" * 50_000 + "1 }}", "it calls itself without end"),
        ("\n\n{{ messages[0].x.y }}", "line 3: the chat template cannot be used: 'messages' is undefined"),
        ("\n{% if %}", "line 2: the chat template cannot be used: it is not valid Jinja: Expected an expression"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{% import 'os' as os %}{{ os }}", "no loader"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ cycler.__init__.__globals__.os }}", "unsafe"),
        ("{{ (x|attr('__class__')).mro() }}", "unsafe"),
        ("{% set n = namespace(__class__=1) %}", "a namespace takes no name like '__class__'"),
        ("{% set n = namespace() %}{% set n._x = 1 %}", "a namespace takes no name like '_x'"),
        ("{{ x.append(1) }}", "unsafe"),
        ("{{ raise_exception.__globals__.os }}", "unsafe"),
    ],
)
def test_what_no_template_does(renderer: Renderer, template: str, said: str) -> None:
    if sys.platform != "linux" and "memory" in said:
        pytest.skip("the system does not bound a process's memory")
    with pytest.raises(CheckpointError) as told:
        render(renderer, template, x=[])
    assert str(told.value).startswith(PLACE)
    assert said in str(told.value)
    assert str(told.value).endswith("(--no-template does without it)")
    assert "\n" not in str(told.value)
    assert render(renderer, "{{ x }}", x=1) == "1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 10 ** 10 ** 8 }}{{ ((10 ** 1000000) ** 100) | string | length }}",
        "{{ lipsum(1000000) }}",
    ],
)
def test_a_template_without_end_is_ended(renderer: Renderer, template: str) -> None:
    with pytest.raises(CheckpointError, match="it does not come to an end within 2 seconds"):
        render(renderer, template)
    assert render(renderer, "{{ x }}", x=1) == "1"


@pytest.mark.slow
def test_where_the_processor_is_not_to_be_had_the_clock_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.5)
    with pytest.raises(CheckpointError, match="does not come to an end"):
        render(Renderer(), "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}")


def test_a_refusal_is_one_line_that_nothing_obeys(renderer: Renderer) -> None:
    with pytest.raises(InputError) as told:
        render(renderer, r"{{ raise_exception('no \n\x1b[31m system ' ~ 'x' * 10000) }}")
    assert str(told.value).startswith(r"the model's chat template says: no \x1b[31m system xxx")
    assert len(str(told.value)) < 400


@pytest.mark.slow
def test_a_process_that_broke_down_is_told_and_replaced(renderer: Renderer) -> None:
    assert render(renderer, "a") == "a"
    renderer._process.kill()
    renderer._process.wait()
    assert render(renderer, "b") == "b"
    real, sandbox_file = subprocess.Popen, str(Path(sandbox.__file__))

    def broken(command: list[str], **options: Any) -> Any:
        assert sandbox_file in command
        return real([sys.executable, "-c", "input(); raise SystemExit(3)"], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", broken)
        other = Renderer()
        with pytest.raises(CheckpointError, match="the process that renders it broke down"):
            render(other, "a")
    assert render(other, "c") == "c"


def test_without_jinja_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(GptcliError, match="need jinja2, which is not installed: pip install jinja2"):
        Renderer()


@pytest.mark.slow
def test_it_ends_with_its_owner() -> None:
    made = Renderer()
    process = made._process
    del made
    gc.collect()
    assert process.poll() is not None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks the system what the process may do")
def test_the_process_may_do_next_to_nothing(renderer: Renderer) -> None:
    assert render(renderer, "a") == "a"
    limits = Path(f"/proc/{renderer._process.pid}/limits").read_text()
    wanted = {"Max file size": 0, "Max core file size": 0, "Max processes": 0, "Max address space": sandbox.MOST_MEMORY}
    rows = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()}
    assert {name: rows[name] for name in wanted} == {name: str(most) for name, most in wanted.items()}
    assert os.getsid(renderer._process.pid) == renderer._process.pid  # Ctrl-C is not for it
    loaded = Path(f"/proc/{renderer._process.pid}/maps").read_text()
    assert "torch" not in loaded
    assert "numpy" not in loaded
