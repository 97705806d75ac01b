"""Whatever is given may be endless: what is said about it on stderr is not."""

from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.text import MESSAGE, QUOTED, clipped, quoted, quoted_few, shortened, visible
from tests.amount import amount

SIZE = 1_000_000
KINDS = {
    "letters": "q" * SIZE,
    "words": "word " * (SIZE // 5),
    "digits": "9" * SIZE,
    "controls": "a" + "\x1b" * SIZE,
    "brackets": "[(" * (SIZE // 2),
    "equals": "x=" * (SIZE // 2),
}
# Where a million characters are a task, and no mistake: they are read, window by window.
TASKS = {("score", "text")}


def _commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that name it."""
    below = getattr(group, "commands", None)
    if below is None:
        return [(path, group)]
    return [leaf for name, inner in below.items() for leaf in _commands(inner, (*path, name))]


def _cases() -> list[Any]:
    """For each parameter of each command that takes a value: the command line up to it, and what it is given."""
    cases: list[Any] = []
    for path, command in _commands(get_command(app)):
        for parameter in command.params:
            if getattr(parameter, "is_flag", False) or (path[0], parameter.name) in TASKS:
                continue
            option = parameter.opts[:1] if parameter.param_type_name == "option" else []
            name = " ".join([*path, *(option or [parameter.name])])
            chosen = _in_turn(["letters", "controls"], len(cases), amount(1, 2))
            cases += [pytest.param([*path], option, kind, id=f"{name} {kind}") for kind in chosen]
    return cases


def _in_turn(kinds: list[str], number: int, count: int) -> list[str]:
    """``count`` of the kinds, others for each number."""
    return [kinds[(number + each) % len(kinds)] for each in range(count)]


def _check(arguments: list[str], text: str | None = None) -> None:
    done = CliRunner().invoke(app, arguments, input=text)
    assert done.exit_code in (0, 2), done.stderr[:3000]
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 2000
    if done.exit_code:
        assert done.stderr.startswith(("error: ", "note: ", "'"))


@pytest.mark.slow
@pytest.mark.parametrize(("words", "option", "kind"), _cases())
def test_an_endless_argument_is_not_repeated(words: list[str], option: list[str], kind: str) -> None:
    needed = {"direction": ["king"], "logits": ["king"], "generate": ["-n", "1"], "chat": ["-n", "1"]}
    filled = needed.get(words[0], []) if option else []
    _check([*words, *filled, *option, KINDS[kind]], "king\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "kind"),
    [
        pytest.param([*path], kind, id=f"{' '.join(path)} {kind}")
        for number, (path, _) in enumerate(_commands(get_command(app)))
        if path[0] != "score"
        for kind in _in_turn(list(KINDS), number, amount(2, len(KINDS)))
    ],
)
def test_an_endless_input_is_not_repeated(words: list[str], kind: str) -> None:
    needed = {
        "generate": ["-n", "1"],
        "chat": ["-n", "1"],
        "direction": ["king"],
        "tour": ["--list"],
        "bench": ["q/q/q"],
    }
    _check([*words, *needed.get(words[0], [])], KINDS[kind])


@pytest.mark.parametrize(
    "arguments",
    [
        ["generat" + "e" * SIZE],
        ["--" + "x" * SIZE],
        ["generate", "--" + "x" * SIZE],
        ["generate", "-n" + "9" * SIZE],
        ["generate", "--seed=" + "x y" * SIZE],
        ["params", "gpt2", "x" * SIZE],
        ["similarity", "king", "q" * SIZE],
        ["analogy", "king + " * SIZE],
        ["neighbors", "q" * 9999],
        ["neighbors", "-m", "tales", "q" * 9999],
        ["analogy", "king" + " - man + king" * 500 + " )"],
        ["analogy", "--evaluate", "q" * SIZE],
        ["map", "q->" * 3000],
        ["generate", "x", "--replay", "q" * SIZE],
    ],
    ids=lambda arguments: f"{arguments[0]:.10} {arguments[-1]:.10}",
)
def test_what_is_wrong_is_said_shortly(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == (0 if arguments[:2] == ["neighbors", "-m"] else 2)
    assert len(done.stderr) < 1000


def test_the_cut_falls_on_what_is_quoted_and_not_on_the_advice() -> None:
    said = CliRunner().invoke(app, ["generate", "x", "--seed", "9x" * SIZE]).stderr
    assert said.endswith("(try 'gptcli generate --help')\n")
    said = CliRunner().invoke(app, ["logits", "x", "-t", "9x" * SIZE]).stderr
    assert said.endswith("(2,000,000 characters): write a number, or several with commas such as 0.5,1,2\n")
    said = CliRunner().invoke(app, ["analogy", "king " * 1000]).stderr
    assert "expected an operator before this" in said
    long = CliRunner().invoke(app, ["analogy", "king + " * 500 + "* man" + " + king" * 500]).stderr.splitlines()
    assert long[1].startswith("  …")
    assert long[1].endswith("…")
    assert long[1][long[2].index("^")] == "*"


@pytest.mark.parametrize("text", ["plain", "q" * 500, "\x1b" * 500, "\U0010ffff" * 500, "it's", "é\ud800" * 300])
def test_a_quotation_has_an_end(text: str) -> None:
    for shown in (clipped(text), quoted(text), clipped(text, 40)):
        assert len(shown) <= 2 * QUOTED + len("… (500 characters)") + 2
        assert visible(shown, keep="") == shown
        assert shown.endswith("… (500 characters)") == (len(text) == 500)
    assert clipped("plain") == "plain"
    assert quoted("plain") == "'plain'"
    assert quoted_few(["a", "b"], 2) == "'a' 'b'"
    assert quoted_few((str(each) for each in range(100)), 100, 3) == "'0' '1' '2' and 97 more"


def test_a_message_keeps_its_beginning_and_its_end() -> None:
    assert shortened("x" * MESSAGE) == "x" * MESSAGE
    cut = shortened(f"no file {'q' * 5000}/last: try another")
    assert cut.startswith("no file qqq")
    assert cut.endswith("q/last: try another")
    assert len(cut) < 300
    cut = shortened(f"wrong: {'a b ' * 5000}: try another")
    assert cut.startswith("wrong: a b")
    assert cut.endswith("a b : try another")
    assert len(cut) <= MESSAGE
