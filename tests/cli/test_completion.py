"""Completion in real shells: bash, zsh and fish are started, and TAB is pressed."""

import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gptcli.checkpoint.hub.names import SHORT_NAMES
from gptcli.cli.app import app
from gptcli.cli.completion import files
from gptcli.cli.completion.__main__ import main
from gptcli.cli.completion.models import model_names
from gptcli.cli.completion.outline import outline

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "completions"
READY, MARK = "@ready@", "@line@"
COMMANDS = {command.words[0] for command in outline(app).commands}


@pytest.mark.parametrize("name", ["gptcli.bash", "_gptcli", "gptcli.fish", "gptcli.1"])
def test_the_stored_files_are_fresh(name: str) -> None:
    stored = (FOLDER / name).read_text(encoding="utf-8")
    assert stored == files(app)[name], "run: python -m gptcli.cli.completion"


def test_one_command_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(tmp_path)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == files(app)
    capsys.readouterr()
    main(tmp_path)
    assert capsys.readouterr().out == ""  # nothing to write


def test_outline_has_every_name_that_the_parser_takes() -> None:
    from typer.main import get_command

    from gptcli.cli.app import app

    for command in outline(app).walk():
        parsed = get_command(app)
        for word in command.words:
            parsed = parsed.commands[word]  # type: ignore[attr-defined]
        taken = {name for parameter in parsed.params for name in parameter.opts if name.startswith("-")}
        assert taken <= {name for option in command.options for name in option.names}, command.words
        assert sum(parameter.param_type_name == "argument" for parameter in parsed.params) == len(command.arguments)


def test_listed_encodings_are_tiktokens() -> None:
    from gptcli.tokenizer import encoding_names

    (listed,) = (
        option.values for command in outline(app).walk() for option in command.options if "--encoding" in option.names
    )
    assert set(listed) <= set(encoding_names())


class Shell:
    """A shell on a terminal of its own, in a folder with a few files and a cache with a few models."""

    def __init__(self, command: list[str], folder: Path, set_up: list[str], insert_all: str) -> None:
        self.insert_all = insert_all
        ours, theirs = os.openpty()
        self.terminal = ours
        self.process = subprocess.Popen(
            ["setsid", "-c", *command], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment(folder)
        )
        os.close(theirs)
        for line in [*set_up, f"PS1='{READY}'"]:
            os.write(self.terminal, f"{line}\n".encode())

    def __enter__(self) -> "Shell":
        self.read(f"[\r\n]{READY}[^\n']*$")
        return self

    def read(self, until: str, limit: float = 20.0) -> str:
        """What the shell writes, up to a pattern."""
        text, deadline = "", time.monotonic() + limit
        while not re.search(until, text, flags=re.DOTALL):
            left = deadline - time.monotonic()
            assert left > 0, f"the shell did not write {until!r} but {text[-2000:]!r}"
            if select.select([self.terminal], [], [], left)[0]:
                text += os.read(self.terminal, 65536).decode(errors="replace")
        return text

    def complete(self, line: str, key: str = "\t") -> list[str]:
        """Press a key behind a line: the words that then stand in place of its last one.

        What stands in the line is read by putting an echo before it, and Enter.
        """
        os.write(self.terminal, f"{line}{key}\x01echo {MARK} \n".encode())
        text = self.read(f"\n{MARK} [^\n]*\n.*{READY}")
        # zsh takes back the = and the / that it put behind an option or a folder when something else follows.
        words = [word.rstrip("=/") for word in text.rsplit(MARK, 1)[1].splitlines()[0].split()]
        return words[len(line.split()) - (not line.endswith(" ")) :]

    def offers(self, line: str) -> list[str]:
        """All words that the last one may become."""
        return self.complete(line, self.insert_all)

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


class Fish:
    """fish tells what TAB would offer when asked with ``complete -C``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def complete(self, line: str) -> list[str]:
        script = f"source {FOLDER / 'gptcli.fish'}; complete -C '{line}'"
        done = subprocess.run(
            ["fish", "-N", "-c", script], cwd=self.folder, env=environment(self.folder), capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return [entry.split("\t")[0].rstrip("/") for entry in done.stdout.decode().splitlines()]

    offers = complete

    def __enter__(self) -> "Fish":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open."""


def environment(folder: Path) -> dict[str, str]:
    return {
        # No gptcli in it: the scripts answer by themselves.
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "HF_HOME": str(folder / "hub home"),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
    }


SHELLS = ["bash", "zsh", "fish"]


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell | Fish]:
    name = request.param
    if shutil.which(name) is None or shutil.which("setsid") is None:
        pytest.skip(f"{name} is not installed (apt-get install {name})")
    folder = tmp_path_factory.mktemp(name)
    for repo in ("own--mine", "$(touch pwned)--x", "`touch pwned`--x"):  # a folder may be called anything
        snapshot = folder / "hub home" / "hub" / f"models--{repo}" / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").touch()
    for file in ("weights.safetensors", "picture.svg", "my file.svg"):
        (folder / file).touch()
    (folder / "nested").mkdir()
    with start(name, folder) as started:
        yield started
    assert not list(folder.rglob("pwned"))


def start(name: str, folder: Path) -> Shell | Fish:
    if name == "bash":
        return Shell(["bash", "--norc", "--noprofile", "-i"], folder, [f"source {FOLDER / 'gptcli.bash'}"], "\x1b*")
    if name == "fish":
        return Fish(folder)
    set_up = [
        f"fpath=({FOLDER} $fpath); autoload -Uz compinit; compinit -u -D; bindkey -e",
        "zle -C all-matches complete-word _generic; bindkey '^Xa' all-matches",
        "zstyle ':completion:all-matches:*' insert true",
        "zstyle ':completion:all-matches::::' completer _all_matches _complete",
    ]
    return Shell(["zsh", "-f", "-i"], folder, set_up, "\x18a")


@pytest.mark.slow
def test_commands(shell: Shell | Fish) -> None:
    assert set(shell.offers("gptcli ")) == COMMANDS
    assert shell.complete("gptcli gen") == ["generate"]
    assert set(shell.offers("gptcli models ")) == {"list", "pull", "quantize", "show"}
    assert shell.complete("gptcli models pu") == ["pull"]


def test_options(shell: Shell | Fish) -> None:
    assert shell.complete("gptcli --vers")[0].startswith("--version")
    assert shell.complete("gptcli generate --prom") == ["--prompts-file"]
    assert shell.complete("gptcli models show --ke") == ["--keys"]
    # An argument that is the name of another command is an argument.
    assert shell.complete("gptcli logits score --wat") == ["--watch"]
    assert shell.complete("gptcli logits score --prom") in ([], ["--prom"])


def test_enumerated_values(shell: Shell | Fish) -> None:
    assert set(shell.offers("gptcli generate --dtype ")) == {"auto", "float32", "bfloat16", "float16"}
    assert shell.complete("gptcli generate --device=cu")[-1] in ("--device=cuda", "cuda")
    assert shell.complete("gptcli tokenize --encoding cl") == ["cl100k_base"]
    assert shell.complete("gptcli analogy --metric eu") == ["euclidean"]


def test_models(shell: Shell | Fish) -> None:
    offered = shell.offers("gptcli generate -m ")
    assert {*model_names(), "own/mine", "weights.safetensors"} <= set(offered)
    assert {"tales", "glove-50d"} < set(offered)
    assert "picture.svg" not in offered
    assert set(shell.offers("gptcli models pull pythia-1")) == {
        name for name in SHORT_NAMES if name.startswith("pythia-1")
    }
    assert shell.complete("gptcli generate --model ow") == ["own/mine"]
    assert shell.complete("gptcli params gpt3-s") == ["gpt3-small"]


def test_files(shell: Shell | Fish) -> None:
    assert shell.complete("gptcli logits --save pic") == ["picture.svg"]
    assert " ".join(shell.complete("gptcli logits --save my")).replace("\\", "") == "my file.svg"
    assert shell.complete("gptcli generate --prompts-file nes") == ["nested"]


def test_free_text_is_left_alone(shell: Shell | Fish) -> None:
    assert shell.complete("gptcli generate --stop x") in ([], ["x"])
    assert shell.complete("gptcli generate pic") in ([], ["pic"])


def test_the_manual_page_is_sound(tmp_path: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed (apt-get install groff-base)")
    page = FOLDER / "gptcli.1"
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    text = subprocess.run(["groff", "-man", "-Tascii", "-P-c", page], capture_output=True, timeout=60).stdout.decode()
    for words in (
        *(f"gptcli {' '.join(command.words)} " for command in outline(app).walk() if command.words),
        "--repetition-penalty",
    ):
        assert words in re.sub(".\b", "", text)
