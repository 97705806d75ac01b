"""Start-up is a feature: help and completion import no torch and no numpy, and cost little beside them."""

import json
import subprocess
import sys

from typer.main import get_command

from gptcli.cli.app import app

HEAVY = ("torch", "numpy", "tiktoken", "tokenizers", "safetensors", "transformers", "huggingface_hub", "textual")

# One fresh process asks for the help of every command, and then says what that imported.
ASK = f"""
import json, sys
from typer.testing import CliRunner
from gptcli.cli.app import app
for arguments in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, [*arguments, "--help"])
    assert done.exit_code == 0 and "Usage:" in done.stdout, (arguments, done.output)
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""


def every_command() -> list[list[str]]:
    """The words of every command and group, the bare program first."""

    def below(group: object, path: list[str]) -> list[list[str]]:
        commands = getattr(group, "commands", {})
        return [path] + [words for name, inner in commands.items() for words in below(inner, [*path, name])]

    return below(get_command(app), [])


def test_no_help_imports_anything_heavy(child_environment: dict[str, str]) -> None:
    commands = every_command()
    assert {("generate",), ("params",)} <= set(map(tuple, commands))
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(commands)],
        env=child_environment,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == []


def test_tokenize_and_params_import_no_torch(child_environment: dict[str, str]) -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from gptcli.cli.app import app\n"
        "for arguments in (['params', 'gpt3'], ['params'], ['tokenize', 'Hello world']):\n"
        "    done = CliRunner().invoke(app, arguments)\n"
        "    assert done.exit_code == 0 and done.stdout, (arguments, done.output)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=child_environment, capture_output=True, timeout=60)
    assert done.stdout.strip() == b"False", done.stderr


def test_the_package_itself_is_light(child_environment: dict[str, str]) -> None:
    script = f"import sys, gptcli; print([name for name in {(*HEAVY, 'typer', 'rich')} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], env=child_environment, capture_output=True, timeout=60)
    assert done.stdout.strip() == b"[]", done.stderr


NEEDS_NO_TORCH = [
    ["generate", "Once", "-n", "3"],
    ["logits", "Once"],
    ["score", "Once upon"],
    ["ablate", "Once upon"],
    ["ablate", "Once upon", "--by", "mean", "--measure", "loss", "--freeze-attention"],
    ["patch", "Once upon a", "Once upon the"],
    ["lens", "Once upon a", "--sublayers", "--token", "time"],
    ["attention", "Once upon a time", "--layer", "2"],
    ["attention", "Once upon a time", "--from", "time"],
    ["attention", "Once upon a time", "--without", "mlp:1@time", "--layer", "2"],
    ["lens", "Once upon a time", "--sublayers", "--steer", "layer:3: happy * 2"],
    ["head", "2.1", "--tokens", "20"],
    ["neurons", "Once upon a time", "--at", "-1"],
    ["similarity", "--in-context", "the month of [May]", "his aunt [May]", "-m", "tales", "--neighbors", "3"],
    ["generate", "Once", "-n", "3", "--without", "1.1@Once", "--without", "mlp:2", "--by", "mean"],
    ["logits", "Once", "--steer", "layer:7: happy - unembedding:sad + 'the end' * 2"],
    ["score", "Once upon a", "--without", "neuron:3.7", "--by", "resample", "--from-text", "A time"],
]


def test_text_logits_and_ablations_need_no_torch_where_the_engine_in_c_is(child_environment: dict[str, str]) -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from gptcli.cli.app import app\n"
        "from gptcli.model.native import available\n"
        f"for arguments in {NEEDS_NO_TORCH}:\n"
        "    done = CliRunner().invoke(app, [*arguments, '--device', 'cpu'])\n"
        "    assert done.exit_code == 0 and done.stdout, (arguments, done.output)\n"
        "print('torch' in sys.modules, available())"
    )
    done = subprocess.run([sys.executable, "-c", script], env=child_environment, capture_output=True, timeout=60)
    imported, there = done.stdout.split()
    assert (imported == b"False") == (there == b"True"), done.stderr
