"""Untrusted text on a real terminal (pyte, an emulator): it is seen, never obeyed, and never markup.

One process runs all commands on one pseudo-terminal; what each prints is fed to a screen of its own.
"""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyte
import pytest
import typer.main
from safetensors.numpy import save
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.text import visible
from tests.checkpoint.hub_server import Fault, running_hub
from tests.cli.test_options_table import commands
from tests.fuzz.seeds import write_seeds

COLUMNS, LINES = 100, 500
# Clears the screen, moves the cursor, colours (7-bit and C1), sets the title, switches screens, asks the terminal
# something that it would type back, reorders the line, hides, deletes; then Rich's markup and a lone surrogate.
pytestmark = pytest.mark.slow
ATTACK = (
    "\x1b[2J\x1b[3;3H\x1b[31;45m\x9b32;44m\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x1b\\\x1b[?1049h\x1b[6n\x1bP+q\x1b\\"
    "\u202edrah\u2066\u200b\ufeff\x08\x7f\r\x85\u2028[bold red]loud[/][link=http://x]:skull:\\[/]\udc80\ud800"
)
# The sequences that we write ourselves: colours, and what a progress bar needs.
OURS = re.compile(rb"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[AK]|\r+\n|\r")
# How running text takes back a word that has grown over the edge (show/terminal/flow.py): as many blanks as steps back,
# then the next line. A backspace anywhere else is somebody else's.
TAKEN_BACK = re.compile(rb"(?<!\x08)(\x08+)( +)\r\n")
DRIVER = """
import json, os, pathlib, sys
sys.argv[0] = "gptcli"
from gptcli.cli.app import app
for number, words in enumerate(json.loads(pathlib.Path(sys.argv[1]).read_text())):
    sys.stdout.flush()
    os.write(1, b"<<%d>>\\n" % number)
    try:
        app(words)
    except SystemExit as end:
        os.write(1, b"<<code %d>>\\n" % (end.code or 0))
"""


@dataclass(frozen=True)
class Shown:
    """What a command printed on the terminal: its bytes, its exit code, and the screen after them."""

    raw: bytes
    code: int
    screen: Any

    @property
    def text(self) -> str:
        """The screen without the line breaks that its width made."""
        return "".join(line.rstrip() for line in self.screen.display)


def show(
    runs: Sequence[Sequence[str]],
    folder: Path,
    environment: dict[str, str],
    columns: int = COLUMNS,
    *,
    typed: str | None = None,
    piped: str | None = None,
) -> list[Shown]:
    """Run commands on one terminal, one after the other.

    Args:
        runs: the words of each.
        folder: where they run.
        environment: of the process.
        columns: how wide the terminal is.
        typed: what a person types meanwhile; the terminal itself does not echo it.
        piped: what comes on stdin instead; with neither, nothing does.
    """
    script = folder / "runs.json"
    script.write_text(json.dumps(runs))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    mode = termios.tcgetattr(theirs)
    mode[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, mode)
    (folder / "stdin").write_bytes((piped or "").encode("utf-8", "surrogatepass"))
    stdin = (folder / "stdin").open("rb")
    settings = {"TERM": "xterm-256color", "PYTHONWARNINGS": "ignore", "HF_HUB_OFFLINE": "0"}
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(script)],
        env=settings | environment,
        stdin=stdin if typed is None else theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
    )
    stdin.close()
    os.close(theirs)
    if typed is not None:
        os.write(ours, typed.encode())
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:  # Linux' way to say that the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0, said.decode(errors="replace")[-3000:]
    parts = re.split(rb"<<\d+>>\r\n", said)[1:]
    assert len(parts) == len(runs)
    return [_shown(part, columns) for part in parts]


def _shown(part: bytes, columns: int) -> Shown:
    raw, code, _ = re.split(rb"<<code (\d+)>>\r\n", part)
    screen = pyte.Screen(columns, LINES)
    pyte.ByteStream(screen).feed(raw)
    return Shown(raw, int(code), screen)


def _without_steps_back(found: re.Match[bytes]) -> bytes:
    """The rest of a sequence where a word is taken back; one that is not exact is left as it is."""
    steps, blanks = map(len, found.groups())
    return b"\r\n" if steps == blanks < COLUMNS else found[0]


def is_harmless(shown: Shown) -> None:
    """Nothing reached the terminal that it would obey, but what we write ourselves; and it obeyed nothing."""
    left = OURS.sub(b"", TAKEN_BACK.sub(_without_steps_back, shown.raw)).decode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", left), repr(left[:500])
    assert not re.search("[\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]", left)
    assert b"\x1b[31;45m" not in shown.raw
    assert shown.screen.title == ""
    assert "owned" not in shown.screen.icon_name
    assert not any(line.startswith("  loud") for line in shown.screen.display)


def with_text(name: str, attack: str) -> list[str]:
    """A command line of a subcommand with the attack as the text it works on."""
    also = {
        "similarity": ["king"],
        "embed-similarity": ["king"],
        "direction": ["king", "queen"],
        "map": ["king", "queen"],
        "generate": ["-n", "0"],
    }
    return [*name.split(), attack, *also.get(name, [])]


NAMES = [name for name, _ in commands(typer.main.get_command(app)) if name != "models list"]
WITH_MODEL = [
    name for name, command in commands(typer.main.get_command(app)) if any(p.name == "model" for p in command.params)
]


def test_texts_and_names_given_to_every_command(tmp_path: Path, child_environment: dict[str, str]) -> None:
    runs = [with_text(name, ATTACK) for name in NAMES]
    runs += [[*name.split(), *with_text("x", "king")[1:], "-m", ATTACK] for name in WITH_MODEL]
    runs += [[ATTACK], ["generate", f"--{ATTACK}"], ["generate", "A", "--stop", ATTACK, "-n", "1"]]
    runs += [["logits", "A", "--watch", ATTACK], ["generate", "A", "--logit-bias", ATTACK], ["models", "pull", ATTACK]]
    runs += [["params", "gpt2", "--save", f"/nowhere/{ATTACK}.svg"], ["generate", "--prompts-file", ATTACK]]
    for words, shown in zip(runs, show(runs, tmp_path, child_environment), strict=True):
        is_harmless(shown)
        assert shown.code in (0, 1, 2), words
        assert "Traceback" not in shown.text, (words, shown.text)
        if shown.code == 0 and words[:2] in (["generate", ATTACK], ["tokenize", ATTACK]):  # it is all there to be seen
            assert "[bold" in shown.text
            assert "x1b" in shown.text


def test_the_screen_of_an_attack_is_that_of_its_harmless_twin(
    tmp_path: Path, child_environment: dict[str, str]
) -> None:
    """Where a text is shown whole, the screen looks as if its visible form had been given in the first place."""
    attack = ATTACK.replace("\r", "")  # a file in which lines seem to end in \r alone is told
    twin = visible(attack, keep="")
    lines = [["generate", "-n", "0", "--prompts-file", str(tmp_path / name)] for name in ("attack.txt", "twin.txt")]
    for name, text in (("attack.txt", attack), ("twin.txt", twin)):
        (tmp_path / name).write_bytes(text.replace("\udc80\ud800", "\\udc80\\ud800").encode())
    names = [["models", "show", text] for text in (ATTACK[:80], visible(ATTACK[:80], keep=""))]
    attacked, meant, named, its_twin = show([*lines, *names], tmp_path, child_environment)
    is_harmless(attacked)
    assert attacked.screen.display == meant.screen.display
    assert named.text == its_twin.text


def evil_model(folder: Path) -> Path:
    """A tiny GPT-2 whose names, vocabulary and metadata attack; with a random model all bytes may be drawn."""
    write_seeds(folder / "seeds")
    place = folder / "seeds" / "gpt2"
    root = json.loads((place / "tokenizer.json").read_text())
    text = ATTACK.replace("\udc80\ud800", "")
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    root["added_tokens"].append({"id": 299, "content": text, **flags})
    (place / "tokenizer.json").write_text(json.dumps(root))
    target = folder / text.replace("/", "")  # safetensors opens no file whose name is not UTF-8
    place.rename(target)
    return target


def test_vocabularies_file_names_and_metadata(tmp_path: Path, child_environment: dict[str, str]) -> None:
    model = evil_model(tmp_path)
    named = ["-m", str(model)]
    keys = tmp_path / "keys"
    keys.mkdir()
    name = ATTACK.replace("\udc80\ud800", "")
    tensors = {name: np.zeros(2, np.float32), "wte.weight": np.zeros((300, 4), np.float32)}
    (keys / "model.safetensors").write_bytes(save(tensors, metadata={name: name}))
    (tmp_path / "type").mkdir()
    (tmp_path / "type" / "config.json").write_text(json.dumps({"model_type": ATTACK, ATTACK: ATTACK}))
    runs = [
        ["models", "show", str(model), "--keys"],
        ["models", "show", str(keys), "--keys"],
        ["models", "show", str(tmp_path / "type")],
        ["params", str(keys)],
        ["generate", "the", *named, "-n", "60", "-t", "9", "-k", "0", "--ignore-eos", "--seed", "1"],
        ["generate", "the", *named, "-n", "60", "-t", "9", "-k", "0", "--ignore-eos", "--seed", "1", "--jsonl"],
        ["logits", "the", *named, "--top", "300"],
        ["logits", "the", *named, "--top", "300", "--json"],
        ["score", "the king and\x1b[31;45m the", *named],
        ["tokenize", "--special", name, *named],
        ["tokenize", "--merges", name, *named],
        ["tokenize", "--decode", " ".join(map(str, range(300))), *named],
        ["neighbors", "the", *named, "--top", "200"],
        ["similarity", "the", "a", *named],
    ]
    for words, shown in zip(runs, show(runs, tmp_path, child_environment), strict=True):
        is_harmless(shown)
        assert "Traceback" not in shown.text, (words, shown.text)
        assert shown.code == 0 or model.name not in " ".join(words), (words, shown.text)


NAMES_AND_SCENE = ["--user", "\x1b[31;45m[red]", "--assistant", "\x1b]0;owned\x07\u202e", "--system", ATTACK]


def test_chat_on_a_terminal(tmp_path: Path, child_environment: dict[str, str]) -> None:
    """Names and a scene that attack, then a vocabulary: in the prompt, the answers and every slash command."""
    lines = ["the king", "/prompt", "/no[bold red]loud[/]", "/temperature 9", "the king", "/prompt", "/save no/x.svg"]
    typed = "\n".join([*lines, "/quit", ""])
    drawn = ["-t", "9", "-k", "0", "--seed", "1"]
    scene = ["chat", "-n", "5", *drawn, *NAMES_AND_SCENE]
    vocabulary = ["chat", "-n", "30", *drawn, "-m", str(evil_model(tmp_path))]
    for words in (scene, vocabulary):
        [shown] = show([words], tmp_path, child_environment, typed=typed)
        is_harmless(shown)
        assert shown.code == 0, shown.text
        assert "Traceback" not in shown.text
        assert "error: /no[bold: no such command" in shown.text
        assert "\\x1b[2J" in shown.text or words is vocabulary  # the scene, to be seen in /prompt


def test_chat_through_a_pipe(tmp_path: Path, child_environment: dict[str, str]) -> None:
    """The turns themselves attack; the answers go to the terminal."""
    text = ATTACK.replace("\r", "").replace("\x85", "").replace("\u2028", "").replace("\udc80\ud800", "")
    for words in (["chat", "-n", "5", "--seed", "1"], ["chat", "-n", "5", "--seed", "1", "--json"]):
        for piped in (f"{text}\n/prompt\n", f"/{text}\n", f"/save {text}\n"):
            [shown] = show([words], tmp_path, child_environment, piped=piped)
            is_harmless(shown)
            assert "Traceback" not in shown.text
            assert shown.code == (0 if "/prompt" in piped else 2), shown.text


def test_the_tour_under_every_key(tmp_path: Path, child_environment: dict[str, str]) -> None:
    """Nothing untrusted comes into the tour but keys: an attack, typed, is not echoed, and q leaves."""
    attacked = child_environment | {"GPTCLI_MODEL": ATTACK.replace("\udc80\ud800", "")}
    typed = ATTACK.replace("\udc80\ud800", "").replace("q", "").replace("\r", "")
    listed, pointless = show([["tour", "--list"], ["tour", "--stop", ATTACK]], tmp_path, attacked)
    [walked] = show([["tour"]], tmp_path, attacked, typed=f"{typed}q")
    for shown, code in ((listed, 0), (pointless, 2), (walked, 0)):
        is_harmless(shown)
        assert shown.code == code, shown.text
    assert b"Tokens" in walked.raw  # the first stop, which digits in the attack then left
    assert "owned" not in walked.text


def test_answers_of_a_hub(tmp_path: Path, child_environment: dict[str, str]) -> None:
    said = ATTACK.replace("\r", "").encode("ascii", "ignore").decode()
    with running_hub() as hub:
        hub.faults += [Fault("api/models", status=status, headers={"X-Error-Message": said}) for status in (418, 403)]
        hub.faults.append(Fault("api/models", body=json.dumps({"id": ATTACK, "sha": ATTACK}).encode()))
        environment = child_environment | {"HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
        shown = show([["models", "pull", "owner/model"]] * 3, tmp_path, environment)
    for one in shown:
        is_harmless(one)
        assert one.code == 1
        assert one.text.startswith("error: ")
    assert "[bold red]loud" in shown[0].text


def test_a_narrow_terminal(tmp_path: Path, child_environment: dict[str, str]) -> None:
    runs = [["logits", "A king"], ["tokenize", ATTACK], ["models", "show", "tales"], ["params"], ["neighbors", ATTACK]]
    for shown in show(runs, tmp_path, child_environment, 20):
        is_harmless(shown)


# Ten megabytes without a line break


LONG = 10_000_000


@pytest.mark.parametrize("words", ["generate -n 0", "tokenize"])
def test_a_single_line_of_ten_megabytes(words: str) -> None:
    done = CliRunner().invoke(app, words.split(), input="[b]" * (LONG // 3))
    assert (done.exit_code, done.stderr) == (0, "")
    assert len(done.stdout) < (2 * LONG if "generate" in words else 100_000)


@pytest.mark.parametrize("place", ["added", "vocabulary"])
def test_a_token_of_ten_megabytes_does_not_fill_the_screen(place: str, tmp_path: Path) -> None:
    write_seeds(tmp_path)
    folder = tmp_path / "gpt2"
    root = json.loads((folder / "tokenizer.json").read_text())
    if place == "added":
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        root["added_tokens"].append({"id": 299, "content": "x" * LONG, **flags})
    else:
        root["model"]["vocab"]["x" * LONG] = 299
    (folder / "tokenizer.json").write_text(json.dumps(root))
    done = CliRunner().invoke(app, ["models", "show", str(folder)])
    assert (done.exit_code, done.stderr) == (0, "")
    assert len(done.stdout) < 10_000


def test_a_name_of_ten_megabytes_is_cut_in_the_message() -> None:
    done = CliRunner().invoke(app, ["generate", "x", "-m", "x" * LONG])
    assert done.exit_code == 2
    assert len(done.stderr) < 1000
