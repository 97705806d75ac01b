"""A GPT over two processes against the same GPT in one: logits, ids, texts, memory, and how it all ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import FalconConfig, GPT2Config, GPTJConfig, GPTNeoConfig, GPTNeoXConfig, OpenAIGPTConfig, OPTConfig

from gptcli.model import ranks
from gptcli.model.shapes import parameter_shapes
from gptcli.model.torch_engine import TorchEngine
from tests.checkpoint.decoders import DECODERS
from tests.checkpoint.zoo import open_folder, reference
from tests.model.parallel_ranks import drive

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed"),
]

TOLERANCE = 1e-4
GPT2 = {"vocab_size": 101, "n_positions": 24, "n_embd": 32, "n_layer": 2, "n_head": 4}
# Odd vocabularies, so that one process has a row more; between them every way in which a tensor is stored.
CONFIGS: dict[str, Any] = {
    "gpt2": GPT2Config(**GPT2),
    "gpt2 untied": GPT2Config(**GPT2, tie_word_embeddings=False, n_inner=54),
    "gpt_neo": GPTNeoConfig(
        vocab_size=103,
        max_position_embeddings=24,
        hidden_size=36,
        num_layers=2,
        num_heads=6,
        attention_types=[[["global", "local"], 1]],
        window_size=5,
    ),
    "gptj": GPTJConfig(**GPT2, rotary_dim=6),
    "gpt_neox": GPTNeoXConfig(
        vocab_size=99,
        max_position_embeddings=24,
        hidden_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=52,
    ),
    "opt as 350m": OPTConfig(
        vocab_size=95,
        max_position_embeddings=24,
        hidden_size=36,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=50,
        do_layer_norm_before=False,
        word_embed_proj_dim=13,
    ),
    "openai-gpt": OpenAIGPTConfig(**GPT2),
    **{
        name: DECODERS[name]
        for name in (
            *("llama tied, biased", "phi3", "stablelm side by side", "olmo2 biased", "bloom of eight heads"),
        )
    },
    "falcon of one group": FalconConfig(
        vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=24,
        new_decoder_architecture=True, num_kv_heads=1, bias=True,
    ),
}  # fmt: skip


def torchrun(*arguments: str, size: int = 2, **options: Any) -> "subprocess.Popen[str]":
    """``torchrun --nproc-per-node SIZE -m ARGUMENTS...``, with free ports, in a process group of its own."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size), "-m"]
    return subprocess.Popen(
        [*launcher, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        start_new_session=True,
        **options,
    )


def finish(process: "subprocess.Popen[str]", text: str | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of what must end within three minutes, on a machine that is busy too."""
    try:
        out, err = process.communicate(text, timeout=180)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"it hangs: {process.communicate()}")
    return process.returncode, out, err


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every configuration, saved by transformers and run by two processes."""
    made = {}
    for name, config in CONFIGS.items():
        made[name] = tmp_path_factory.mktemp("checkpoint")
        reference(config).save_pretrained(made[name])
    code, _, err = finish(torchrun("tests.model.parallel_ranks", *map(str, made.values())))
    assert code == 0, err
    return made


@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_compute_what_one_does(name: str, folders: dict[str, Path]) -> None:
    _, model = open_folder(folders[name])
    alone = drive(TorchEngine(model))
    together = json.loads((folders[name] / "rank-0.json").read_text())
    wanted, found = np.array(alone["logits"]), np.array(together["logits"])
    assert wanted.std() > 0.5
    assert np.abs(found - wanted).max() < TOLERANCE
    assert together["ids"] == alone["ids"]


@pytest.mark.parametrize("name", CONFIGS)
def test_each_process_holds_its_part_of_the_weights(name: str, folders: dict[str, Path]) -> None:
    blueprint, _ = open_folder(folders[name])
    whole = {name: 4 * int(np.prod(shape)) for name, shape in parameter_shapes(blueprint.config).items()}
    halved = re.compile(r"wte\.|lm_head\.|.*\.(c_attn\.|c_fc\.|c_gate\.|c_proj\.weight)")
    shared = sum(size for name, size in whole.items() if halved.match(name))
    held = [json.loads((folders[name] / f"rank-{rank}.json").read_text())["bytes"] for rank in range(2)]
    # Each whole tensor is there twice, and nothing else is. One rank may have a row of the vocabulary more.
    config = blueprint.config
    rows = max(2 - config.kv_heads, 0) * config.head_size * config.n_layer  # of a key head that both have
    repeated = 4 * 2 * rows * (config.n_embd + config.qkv_bias)
    repeated += 4 * 2 * rows * (config.qk_norm in ("whole", "each head"))
    assert sum(held) == 2 * sum(whole.values()) - shared + repeated
    row = 4 * (blueprint.config.embedding_width + 1)
    assert 0 <= held[0] - held[1] <= row * (1 if blueprint.config.tied else 2)
    assert max(held) < 0.62 * sum(whole.values())


def test_the_text_is_the_same(run_gptcli: Any) -> None:
    arguments = ["generate", "-m", "tales", "--dtype", "float32", "-n", "8", "--seed", "3", "-N", "2"]
    alone = run_gptcli(*arguments, input=b"Lily saw a")
    # Only the first process may read stdin, and only it may print.
    code, out, err = finish(torchrun("gptcli", *arguments, stdin=subprocess.PIPE), "Lily saw a")
    assert code == 0, err
    assert out == alone.stdout.decode()
    assert out.count("Lily saw a") == 2


def test_heads_that_do_not_divide_are_refused_once() -> None:
    code, out, err = finish(torchrun("gptcli", "generate", "x", "--device", "cpu", size=3))
    assert code != 0
    assert out == ""
    assert err.count("error: n_head 4 does not divide by the 3 processes") == 1
    assert "gptcli/cli/app.py" not in err  # the traceback at the end is torchrun's own


def test_a_mistake_on_the_first_process_ends_all() -> None:
    code, out, err = finish(torchrun("gptcli", "generate", "x", "--logit-bias", "two words here=1"))
    assert code != 0
    assert out == ""
    assert err.count("error: --logit-bias") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a process group")
def test_an_interrupt_ends_all_and_keeps_the_text() -> None:
    process = torchrun("gptcli", "generate", "The king", "-n", "100000", "--ignore-eos", "--jsonl")
    assert process.stdout is not None
    first = process.stdout.readline()
    assert json.loads(first)["position"] == 1
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
    code, out, err = finish(process)
    assert code != 0
    assert all(json.loads(line) for line in out.splitlines())  # no line is cut in two
    assert "gptcli/cli/app.py" not in err


# Started without torchrun, or not all of them

BY_HAND = """
import sys
from gptcli.model import meeting
from gptcli.cli.app import main
meeting._SAY_AFTER_S, meeting._GIVE_UP_AFTER_S = {say}, {give_up}
sys.argv = ["gptcli", "generate", "Once upon", "-n", "3", "--seed", "1"]
main()
"""


@pytest.fixture
def port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def by_hand(rank: int, port: int | str, *, say: float = 0.3, give_up: float = 1.5) -> "subprocess.Popen[str]":
    meeting = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return subprocess.Popen(
        [sys.executable, "-c", BY_HAND.format(say=say, give_up=give_up)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])} | meeting,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("rank", "missing"),
    [
        (0, "1 of 2 processes are there (RANK 0 to 1 are to be, WORLD_SIZE=2)"),
        (1, "process 1 of 2 finds nobody there; the first (RANK=0) is to be"),
    ],
)
def test_whoever_is_alone_says_so_and_gives_up(rank: int, missing: str, port: int) -> None:
    code, out, err = finish(by_hand(rank, port))
    waiting, error = err.splitlines()
    assert (code, out) == (1, "")
    assert waiting == f"waiting at 127.0.0.1:{port} (MASTER_ADDR, MASTER_PORT): {missing}"
    assert error == f"error: waited 2 s at 127.0.0.1:{port}: {missing}"


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a process group")
def test_an_interrupt_ends_the_wait(port: int) -> None:
    process = by_hand(0, port, give_up=1000)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("waiting at")
    os.killpg(process.pid, signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out.strip(), err) == (130, "", "")


@pytest.mark.slow
def test_the_second_may_come_first(port: int, run_gptcli: Any) -> None:
    second = by_hand(1, port, give_up=60)
    assert second.stderr is not None
    assert second.stderr.readline().startswith("waiting at")
    code, out, err = finish(by_hand(0, port, say=60, give_up=60))
    assert (code, err) == (0, "")
    assert out == run_gptcli("generate", "Once upon", "-n", "3", "--seed", "1", "--dtype", "float32").stdout.decode()
    assert finish(second)[0] == 0


def test_no_place_to_meet_at() -> None:
    code, out, err = finish(by_hand(0, "http"))
    assert (code, out) == (2, "")
    assert err.startswith("error: RANK and WORLD_SIZE say that this is one of several processes, but MASTER_ADDR=")
    assert err.count("\n") == 1


def test_a_port_that_something_else_has() -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = finish(by_hand(0, port))
    assert (code, out) == (1, "")
    assert f"error: process 0 of 2 cannot meet the others at 127.0.0.1:{port}: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("environment", "size", "rank"),
    [
        ({}, 1, 0),
        ({"WORLD_SIZE": "4"}, 1, 0),  # some launchers set this without starting processes that know one another
        ({"WORLD_SIZE": "1", "RANK": "0"}, 1, 0),
        ({"WORLD_SIZE": "4", "RANK": "0"}, 4, 0),
        ({"WORLD_SIZE": "4", "RANK": "3"}, 4, 3),
        ({"WORLD_SIZE": "many", "RANK": "3"}, 1, 0),
    ],
)
def test_ranks(environment: dict[str, str], size: int, rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (ranks.world_size(), ranks.rank(), ranks.is_worker()) == (size, rank, rank > 0)
