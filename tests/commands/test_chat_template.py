"""``gptcli chat`` and ``generate --chat`` with a model that has its own template, as a user meets them."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gptcli.cli.app import app
from gptcli.system.bundled import bundled_folder
from tests.conftest import Run
from tests.generation.made_templates import CHATML, NO_SYSTEM, THINKING
from tests.show.test_pick import on_terminal

END = "<|endoftext|>"
# What GPT-2's vocabulary allows: one special token.
PLAIN = (
    "{% for m in messages %}{{ m.role + ': ' + m.content + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with the bundled model's weights and a template of its own."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        os.symlink(bundled_folder() / "tales" / name, folder / name)
    write(folder, PLAIN, eos_token=END)
    return folder


def write(folder: Path, template: str, **config: Any) -> None:
    (folder / "chat_template.jinja").write_text(template)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer", **config}))


# What is said of these folders: they have no tokenizer of their own.
NO_TOKENIZER = re.compile(r"^.+ comes without a tokenizer: .+\n", re.MULTILINE)


def told(done: Result) -> str:
    """What is on stderr, without the note that there is no tokenizer."""
    return NO_TOKENIZER.sub("", done.stderr)


def gptcli(command: str, model: Path, *arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(app, [command, "-m", str(model), "-n", "12", "--seed", "1", *arguments], input=text)


@pytest.mark.slow
def test_the_template_makes_the_prompt(model: Path) -> None:
    done = gptcli("chat", model, text=f"Hi {END}\n/prompt\n")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert (done.exit_code, told(done)) == (0, "")
    assert lines[1].startswith(f"│ user: Hi {END}«{END}»assistant: ")
    assert "".join(lines[1:]).count(f"«{END}»") == 3
    assert f"«{END}»user: «{END}»assistant:" in "".join(lines)  # where the next question will stand
    assert re.fullmatch(r"the model sees \d+ tokens, of a context of 512; «…» are special tokens", lines[-1])
    script = gptcli("chat", model, "--no-template", text="Hi\n/prompt\n")
    assert "│ User: Hi" in script.stdout
    assert "│ User: Hi" in gptcli("chat", model, "--format", "script", text="Hi\n/prompt\n").stdout


@pytest.mark.slow
def test_the_system_text_can_be_changed(model: Path) -> None:
    lines = ("/prompt", "/system", "/system Be kind", "/prompt", '/system ""', "/prompt", "/thinking", "")
    done = gptcli("chat", model, text="\n".join(lines))
    assert done.exit_code == 2
    assert told(done).splitlines() == [
        "no system text of yours: the template may have its own",
        "system: Be kind",
        "system: ",
        "error: /thinking: this model has no chat template that asks whether to think first",
    ]
    shown = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert [line.rstrip() for line in shown] == [
        f"│ user: «{END}»assistant:",
        f"│ system: Be kind«{END}»user: «{END}»assistant:",
        f"│ system: «{END}»user: «{END}»assistant:",
    ]
    assert "│ system: Hm" in gptcli("chat", model, "--system", "Hm", text="/prompt\n").stdout


@pytest.mark.slow
def test_thinking_is_switched(model: Path) -> None:
    write(model, THINKING, eos_token=END)
    prompts = "/prompt\n/thinking on\n/prompt\n/thinking off\n/prompt\n/thinking maybe\n"
    done = gptcli("chat", model, text=prompts)
    assert done.stdout.count("<think>") == 1
    assert told(done).splitlines() == [
        "thinking on",
        "thinking off",
        "error: /thinking maybe: write /thinking on or /thinking off",
    ]
    assert "<think>" in gptcli("chat", model, "--no-thinking", text="/prompt\n").stdout
    assert "<think>" not in gptcli("chat", model, "--thinking", text="/prompt\n").stdout


@pytest.mark.slow
def test_thinking_is_told_apart_and_can_be_hidden(model: Path) -> None:
    write(model, PLAIN + "{% if add_generation_prompt %}<think>{% endif %}", eos_token=END)
    arguments = ("-n", "40", "--logit-bias", "</=1", "-t", "0")
    whole = gptcli("chat", model, *arguments, text="Hi\n").stdout
    record = json.loads(gptcli("chat", model, *arguments, "--json", text="Hi\n").stdout)
    assert (record["assistant"], record["thinking"]) == ("", whole.strip())
    assert gptcli("chat", model, *arguments, "--hide-thinking", text="Hi\n").stdout == "\n"
    assert gptcli("generate", model, *arguments, "--chat", "Hi").stdout == whole
    assert gptcli("generate", model, *arguments, "--chat", "--hide-thinking", "Hi").stdout == ""
    assert "thinking" not in json.loads(gptcli("chat", model, "--no-template", "--json", text="Hi\n").stdout)


@pytest.mark.slow
def test_one_question(model: Path) -> None:
    asked = gptcli("generate", model, "-k", "40", "--chat", "Hi", "--json")
    record = json.loads(asked.stdout)
    said = json.loads(gptcli("chat", model, "--json", text="Hi\n").stdout)
    assert (record["prompt"], record["ids"]) == ("Hi", said["ids"])
    assert record["completion"].strip() == said["assistant"]
    assert gptcli("generate", model, "--chat", text="Hi\n").stdout.rstrip("\n") == record["completion"]
    two = gptcli("generate", model, "--chat", "Hi", "--system", "Be kind", "-N", "2", "--explain", "--jsonl")
    assert len(two.stdout.splitlines()) == 24
    script = json.loads(gptcli("generate", model, "--chat", "Hi", "--no-template", "--json").stdout)
    line = json.loads(gptcli("chat", model, "--no-template", "--json", text="Hi\n").stdout)
    assert script["ids"] == line["ids"]


@pytest.mark.slow
def test_what_generation_config_says(model: Path) -> None:
    whole = json.loads(gptcli("chat", model, "-t", "0", "--json", text="Hi\n").stdout)["ids"]
    middle = whole[len(whole) // 2]  # so that the answer comes to it, whatever the model says
    config = {"do_sample": False, "eos_token_id": [50256, middle]}
    (model / "generation_config.json").write_text(json.dumps(config))
    said = json.loads(gptcli("chat", model, "-n", "200", "--json", text="Hi\n").stdout)
    assert said["ids"] == whole[: whole.index(middle) + 1]
    assert said["finish_reason"] == "eos"
    greedy = json.loads(gptcli("chat", model, "-n", "200", "--json", "--seed", "5", text="Hi\n").stdout)
    assert greedy["ids"] == said["ids"]
    assert told(gptcli("chat", model, text="/temperature\n")) == "temperature 0\n"
    assert told(gptcli("chat", model, "-t", "0.8", text="/temperature\n")) == "temperature 0.8\n"
    config["eos_token_id"] = [50256, 13]
    (model / "generation_config.json").write_text(json.dumps(config))
    written = json.loads(gptcli("generate", model, "-n", "200", "Hi", "--json").stdout)
    assert written["ids"][-1] == 13
    assert written["ids"] != json.loads(gptcli("generate", model, "-n", "200", "-t", "0", "Hi", "--json").stdout)["ids"]
    shown = CliRunner().invoke(app, ["models", "show", str(model), "--json"])
    about = json.loads(shown.stdout)
    assert (about["eos_ids"], about["sampling"]) == ([50256, 13], {"temperature": 0.0})
    assert about["chat_templates"] == ["default"]
    assert about["known"]["sampling"] == {"how": "read", "source": "generation_config.json"}
    card = CliRunner().invoke(app, ["models", "show", str(model)]).stdout
    assert re.search(r"ends a text +50256, 13 +read: generation_config.json", card)
    assert re.search(r"chat starts with +temperature 0 +read: generation_config.json", card)
    assert re.search(r"chat template +yes +read: chat_template.jinja", card)


@pytest.mark.slow
def test_templates_by_name(model: Path) -> None:
    (model / "additional_chat_templates").mkdir()
    (model / "additional_chat_templates" / "loud.jinja").write_text("{{ messages[0].content | upper }}")
    assert "│ HI" in gptcli("chat", model, "--template", "loud", text="hi\n/prompt\n").stdout
    done = gptcli("chat", model, "--template", "soft")
    assert (done.exit_code, told(done)) == (
        2,
        "error: --template soft: the model's chat templates are default, loud\n",
    )


@pytest.mark.slow
def test_a_conversation_is_saved_with_its_template(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    assert gptcli("chat", model, "--save", str(file), text="Hi\n").exit_code == 0
    saved = json.loads(file.read_text())
    assert saved["format"] == {
        "kind": "template", "user": "User", "assistant": "Assistant", "template": "default", "thinking": None
    }  # fmt: skip
    assert saved["system"] is None
    assert gptcli("chat", model, "--save", str(tmp_path / "talk.txt"), text="Hi\n").exit_code == 0
    assert (tmp_path / "talk.txt").read_text().startswith("User: Hi\nAssistant: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "arguments", "said"),
    [
        (NO_SYSTEM, ("--system", "x"), "the model's chat template says: System role not supported"),
        ("{{ nothing.at.all }}", (), "chat_template.jinja, line 1: the chat template cannot be used: 'nothing' is"),
        ("{% for %}", (), "chat_template.jinja, line 1: the chat template cannot be used: it is not valid Jinja"),
        ("{{ 'a' * 10**10 }}", (), "it takes more than 400 MB of memory (--no-template does without it)"),
        ("{% for i in range(10**9) %}x{% endfor %}", (), "Range too big"),
        ("{{ 'a b' * 100000 }}", (), "tokens, and the context of 512 holds 500 next to an answer"),
        (CHATML, ("--template", "x"), "--template x"),
        (CHATML, ("--thinking",), "--thinking: the model's chat template does not ask"),
        (CHATML, ("--no-template", "--template", "x"), "--no-template and --template contradict each other"),
        (CHATML, ("--no-template", "--thinking"), "--no-template and --thinking contradict each other"),
        ("", (), "the model's chat template makes an empty prompt"),
    ],
)
def test_mistakes_are_one_line(model: Path, template: str, arguments: Sequence[str], said: str) -> None:
    write(model, template)
    for command in ("chat", "generate"):
        ask = ("--chat", "Hi") if command == "generate" else ()
        done = gptcli(command, model, *ask, *arguments, text="Hi\n")
        assert done.exit_code in (1, 2)
        assert done.stdout == ""
        assert re.fullmatch(r"error: .+\n", told(done)), told(done)
        assert said in told(done)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--chat", "--bos"), "--chat and --bos"),
        (("--system", "x"), "--system goes with --chat"),
        (("--hide-thinking",), "--hide-thinking goes with --chat"),
        (("--no-template",), "--no-template goes with --chat"),
    ],
)
def test_options_that_do_not_go_together(model: Path, arguments: Sequence[str], said: str) -> None:
    done = gptcli("generate", model, "Hi", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in told(done)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"eos_token_id": "x"}', "generation_config.json: eos_token_id is 'x'"),
        ('{"temperature": "hot"}', "generation_config.json: temperature is 'hot'"),
        ('{"top_p": 7}', "generation_config.json: --top-p 7.0: it must be"),
        ("[]", "generation_config.json does not hold a JSON object"),
    ],
)
def test_a_broken_generation_config_is_one_line(model: Path, content: str, said: str) -> None:
    (model / "generation_config.json").write_text(content)
    done = gptcli("chat", model, text="Hi\n")
    assert (done.exit_code, done.stdout) == (1, "")
    assert re.fullmatch(r"error: .+\n", told(done))
    assert said in told(done)
    assert CliRunner().invoke(app, ["models", "show", str(model)]).exit_code == 0


@pytest.mark.slow
def test_a_template_without_end_as_a_process(model: Path, run_gptcli: Run) -> None:
    write(model, "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}")
    done = run_gptcli("generate", "-m", str(model), "--chat", "Hi")
    assert (done.returncode, done.stdout) == (1, b"")
    assert re.fullmatch(rb"(.+\n)?error: .+ does not come to an end within 2 seconds .+\n", done.stderr)


@pytest.mark.slow
def test_on_a_terminal(model: Path, child_environment: dict[str, str]) -> None:
    write(model, PLAIN + "{% if add_generation_prompt and enable_thinking %}<think>{% endif %}", eos_token=END)
    arguments = ("-m", str(model), "-n", "300", "--logit-bias", f"{END}=-inf")
    with on_terminal(child_environment, *arguments, name="chat") as terminal:
        terminal.wait_for("by its own chat template")
        terminal.wait_for("User: ")
        terminal.send("/thinking on\r")
        terminal.wait_for("thinking on")
        terminal.wait_for("User: ")
        terminal.send("Tell me a story\r")
        terminal.wait_for("Assistant: ")
        terminal.send("\x03")  # stops the answer
        terminal.wait_for("User: ")
        terminal.send("/system Be kind\r")
        terminal.wait_for("system: Be kind")
        terminal.wait_for("User: ")
        terminal.send("/prompt\r")
        terminal.wait_for("are special tokens")
        terminal.wait_for("User: ")
        terminal.send("\x04")
        assert terminal.end() == 0
        assert "Traceback" not in terminal.seen
