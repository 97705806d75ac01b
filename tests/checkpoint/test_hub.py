"""Opening models of a hub, with the hub's own client against a server that speaks its protocol and can fail."""

import errno
import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from collections import namedtuple
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants, file_download, get_session
from safetensors.numpy import save

from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.hub import file as hub_file
from gptcli.checkpoint.hub import watch as hub_watch
from gptcli.checkpoint.hub.cached import cached_snapshot
from gptcli.checkpoint.hub.names import HubName
from gptcli.checkpoint.source import find
from gptcli.errors import CheckpointError, GptcliError, ModelNotFound
from tests.checkpoint.hub_server import TOKEN, Fault, Hub, running_hub

CONFIG = json.dumps({"model_type": "gpt2", "n_layer": 1}).encode()
WEIGHTS = save({"wte.weight": np.arange(40_000, dtype=np.float32).reshape(200, 200)})
MODEL = {"config.json": CONFIG, "tokenizer.json": b"{}", "model.safetensors": WEIGHTS}
REPO = "owner/model"


def shards(**placed: str) -> dict[str, bytes]:
    """A model in two shards and their index, whose weight map can be given otherwise."""
    files = {
        "model-00001-of-00002.safetensors": save({"a": np.zeros((100, 100), np.float32)}),
        "model-00002-of-00002.safetensors": save({"b": np.ones((100, 100), np.float32)}),
    }
    placed = placed or dict(zip("ab", files, strict=True))
    index = json.dumps({"metadata": {}, "weight_map": placed}).encode()
    return {"config.json": CONFIG, "model.safetensors.index.json": index, **files}


def resolved(hub: Hub) -> set[str]:
    """Names of the files that were asked for."""
    return {path.rpartition("/")[2] for path in hub.asked("HEAD") if "/resolve/" in path}


@pytest.mark.slow
def test_only_config_weights_and_tokenizer_are_downloaded(hub: Hub) -> None:
    unwanted = {
        "README.md": b"#",
        "pytorch_model.bin": b"pickle",
        "model.fp16.safetensors": WEIGHTS,
        "onnx/model.onnx": b"onnx",
        "onnx/config.json": b"{}",
        "modeling_owner.py": b"import os",
    }
    hub.add(REPO, {**MODEL, "generation_config.json": b"{}", **unwanted, **shards()})
    source = find(REPO)
    assert resolved(hub) == {"config.json", "generation_config.json", "tokenizer.json", "model.safetensors"}
    assert {path.name for path in source.folder.iterdir()} == resolved(hub)
    assert source.weights is not None
    assert source.weights.read_bytes() == WEIGHTS
    assert read_header(source.weights).tensors["wte.weight"].shape == (200, 200)
    assert source.hub_name == HubName(REPO)


def test_only_the_shards_of_the_index_are_downloaded(hub: Hub) -> None:
    hub.add(REPO, {**shards(), "model-00003-of-00002.safetensors": WEIGHTS, "consolidated.safetensors": WEIGHTS})
    source = find(REPO)
    assert resolved(hub) == set(shards())
    assert source.weights is not None
    assert list(read_header(source.weights).tensors) == ["a", "b"]


def test_cached_model_is_opened_without_a_request(hub: Hub) -> None:
    hub.add(REPO, MODEL)
    folder = find(REPO).folder
    before = len(hub.requests)
    assert find(REPO).folder == folder
    assert len(hub.requests) == before


@pytest.mark.slow
def test_cached_model_is_opened_with_the_server_stopped(tmp_path: Path) -> None:
    """In processes of their own, with nothing but the environment to steer the client."""
    code = "import sys; from gptcli.checkpoint.source import find; print(find('owner/model').folder)"
    with running_hub() as served:
        served.add(REPO, MODEL)
        environment = {**os.environ, "HF_ENDPOINT": served.url, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}

        def run(**more: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-c", code]
            return subprocess.run(command, env={**environment, **more}, capture_output=True, text=True, check=False)

        absent = run(HF_HUB_OFFLINE="1")
        assert absent.returncode == 1
        assert "ModelNotFound: owner/model is not in the cache" in absent.stderr
        assert not served.requests
        first = run()
        assert first.returncode == 0, first.stderr
        # Not a terminal: one line, no bars.
        assert first.stderr == f"downloading owner/model ({len(WEIGHTS) / 1000:.0f} kB in 1 file) to {tmp_path}/hub\n"
    for more in ({}, {"HF_HUB_OFFLINE": "1"}):
        again = run(**more)
        assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")


def read_all(terminal: int) -> bytes:
    """What is written to a pseudo-terminal until its other end is closed."""
    said = b""
    try:
        while part := os.read(terminal, 10_000):
            said += part
    except OSError:  # Linux' way to say that it is closed
        pass
    os.close(terminal)
    return said


@pytest.mark.slow
def test_terminal_gets_a_bar_that_goes_by_the_file_not_by_what_the_server_says(tmp_path: Path) -> None:
    code = "from gptcli.checkpoint.source import find; find('owner/model')"
    with running_hub() as served:
        served.add(REPO, MODEL)
        environment = {**os.environ, "HF_ENDPOINT": served.url, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=theirs)
        os.close(theirs)
        said = read_all(ours)
        assert process.wait() == 0
    assert b"model.safetensors: 100%" in said
    assert b"config.json" not in said
    assert b"\x1b[31m" not in said
    assert b"stored" not in said


def test_token_goes_to_the_hub_and_never_to_the_storage(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.add(REPO, MODEL, access="private")
    find(REPO)
    tokens = {
        request.server: request.headers.get("authorization") for request in hub.requests if "api/a" not in request.path
    }
    assert tokens == {"hub": f"Bearer {TOKEN}", "storage": None}


@pytest.mark.slow
@pytest.mark.parametrize("name", [REPO, f"{REPO}@main"])
def test_renamed_repository_is_followed(hub: Hub, name: str) -> None:
    hub.add("new/home", MODEL)
    hub.moved[REPO] = "new/home"
    assert (find(name).folder / "model.safetensors").read_bytes() == WEIGHTS


def test_small_files_are_followed_to_another_path(hub: Hub) -> None:
    """Though neither the redirect's ETag nor its length are those of the file."""
    hub.add(REPO, MODEL)
    hub.keeps_small_files_elsewhere = True
    folder = find(REPO).folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == MODEL
    assert f"/api/resolve-cache/{REPO}/resolve/{folder.name}/config.json" in hub.asked("HEAD")


def test_a_file_that_arrives_with_other_bytes_is_refused(hub: Hub) -> None:
    hub.add(REPO, MODEL)
    other = WEIGHTS[:-1] + b"\1"
    hub.faults.append(Fault(sha256(WEIGHTS).hexdigest(), body=other))
    with pytest.raises(GptcliError, match="arrived with other bytes than its SHA-256 says"):
        find(REPO)
    assert (find(REPO).folder / "model.safetensors").read_bytes() == WEIGHTS


def test_the_client_is_left_as_it_is_for_others_in_this_process(hub: Hub) -> None:
    """What is checked for gptcli is not checked for others that use the client."""
    hub.add(REPO, MODEL)
    find(REPO)
    answer = get_session().head(f"{hub.url}/{REPO}/resolve/main/model.safetensors", follow_redirects=False)
    assert "x-xet-hash" in answer.headers


def test_connection_cut_midway_is_resumed(hub: Hub, naps: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    hub.add(REPO, MODEL)
    hub.faults.append(Fault(sha256(WEIGHTS).hexdigest(), cut=100_000))
    assert (find(REPO).folder / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [request.headers.get("range") for request in hub.requests if request.server == "storage"]
    assert ranges == [None, "bytes=100000-"]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "model.safetensors of owner/model broke off at 100 kB of 160 kB" in said[1]
    assert "?" not in said[1]


@pytest.mark.slow
def test_broken_download_keeps_what_was_complete(hub: Hub, naps: list[float]) -> None:
    files = shards()
    hub.add(REPO, files)
    first, second = (sha256(data).hexdigest() for name, data in files.items() if name.endswith(".safetensors"))
    hub.faults.append(Fault(second, cut=0, times=100))
    with pytest.raises(GptcliError, match=r"broke off.*run the command again") as caught:
        find(REPO)
    assert caught.value.exit_code == 1
    assert cached_snapshot(HubName(REPO)) is None
    hub.faults.clear()
    hub.requests.clear()
    source = find(REPO)
    assert hub.asked(server="storage") == [f"/{second}"]
    assert source.weights is not None
    assert len(read_header(source.weights).tensors) == 2
    assert first not in str(hub.requests)


@pytest.mark.slow
def test_refresh_takes_the_newer_commit_and_a_broken_one_leaves_the_old(hub: Hub, naps: list[float]) -> None:
    repo = hub.add(REPO, MODEL)
    old = find(REPO).folder
    commit = repo.push({**MODEL, "model.safetensors": WEIGHTS[:-4] + b"\0\0\0\1"})
    assert find(REPO).folder == old
    hub.faults.append(Fault("/", method="HEAD", status=503, times=1000))
    with pytest.raises(GptcliError, match=r"in trouble.*503"):
        find(REPO, refresh=True)
    assert find(REPO).folder == old
    hub.faults.clear()
    assert find(REPO, refresh=True).folder.name == commit
    assert find(REPO).folder.name == commit


@pytest.mark.slow
def test_revisions(hub: Hub) -> None:
    repo = hub.add(REPO, MODEL)
    other = {**MODEL, "config.json": b'{"model_type": "opt"}'}
    commits = {
        "main": repo.revisions["main"],
        "step1000": repo.push(other, "step1000"),
        "refs/pr/3": repo.push({**other, "merges.txt": b""}, "refs/pr/3"),
    }
    for revision, commit in commits.items():
        assert find(f"{REPO}@{revision}").folder.name == commit
        assert find(f"{REPO}@{commit}").folder.name == commit
    hub.requests.clear()
    assert [find(f"{REPO}@{revision}").folder.name for revision in commits] == list(commits.values())
    assert not hub.requests


def test_short_name_with_a_revision(hub: Hub) -> None:
    repo = hub.add("EleutherAI/pythia-70m", MODEL)
    commit = repo.push(MODEL, "step512")
    source = find("pythia-70m@step512")
    assert source.folder.name == commit
    assert source.name == "pythia-70m@step512"


ERRORS: list[tuple[str, dict[str, Any], list[Fault], type[GptcliError], str]] = [
    ("missing", {"name": "owner/other"}, [], ModelNotFound, "no folder or file 'owner/model' here, and no model"),
    ("private", {"access": "private"}, [], ModelNotFound, "set HF_TOKEN"),
    ("plain 401", {}, [Fault("api/models", status=401)], ModelNotFound, "no model of that name"),
    ("gated", {"access": "gated"}, [], GptcliError, "accept its conditions at https://huggingface.co/owner/model"),
    ("forbidden", {}, [Fault("api/models", status=403)], GptcliError, "does not let you read owner/model"),
    ("gone", {}, [Fault("resolve", "HEAD", status=404, times=9)], GptcliError, "lost a file"),
    (
        "too many",
        {},
        [Fault("api/models", status=429, headers={"Retry-After": "7"})],
        GptcliError,
        "again in 7 seconds",
    ),
    ("broken", {}, [Fault("api/models", status=500)], GptcliError, "is in trouble .HTTP 500"),
    ("unavailable", {}, [Fault("resolve", "HEAD", status=503, times=99)], GptcliError, "is in trouble .HTTP 503"),
    ("odd", {}, [Fault("api/models", status=418)], GptcliError, "refuses .HTTP 418"),
    ("portal", {}, [Fault("api/models", body=b"<html>Sign in</html>")], GptcliError, "does not answer as the hub"),
    ("not ours", {}, [Fault("api/models", body=b"[]")], GptcliError, "does not answer as the hub"),
    ("no commit", {}, [Fault("api/models", body=b'{"id": "a/b"}')], GptcliError, "does not answer as the hub"),
    ("escaping", {}, [Fault("api/models", body=b'{"id": "a/b", "sha": "../../x"}')], GptcliError, "does not answer as"),
    ("no header", {}, [Fault("resolve", "HEAD", body=b"x", times=99)], GptcliError, "does not answer as the hub"),
    ("slow", {}, [Fault("api/models", stall=3.0)], GptcliError, "took too long"),
    ("hangs up", {}, [Fault("api/models", body=b"x" * 50, cut=10)], GptcliError, "broke off"),
]


@pytest.mark.parametrize(
    ("about", "faults", "kind", "message"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS]
)
def test_errors_say_what_to_do(
    hub: Hub,
    naps: list[float],
    monkeypatch: pytest.MonkeyPatch,
    about: dict[str, Any],
    faults: list[Fault],
    kind: type[GptcliError],
    message: str,
) -> None:
    if any(fault.stall for fault in faults):
        monkeypatch.setattr(hub_watch, "patience", lambda: 0.5)
    hub.add(about.pop("name", REPO), MODEL, **about)
    hub.faults += faults
    with pytest.raises(kind, match=message) as caught:
        find(REPO)
    assert type(caught.value) is kind


def test_wrong_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    hub.add(REPO, MODEL)
    with pytest.raises(GptcliError, match=r"does not accept your token .Invalid credentials"):
        find(REPO)


def test_unknown_revision(hub: Hub) -> None:
    hub.add(REPO, MODEL)
    with pytest.raises(ModelNotFound, match=r"owner/model has no branch, tag or commit 'step1'"):
        find(f"{REPO}@step1")


def test_busy_server_is_asked_again(hub: Hub, naps: list[float]) -> None:
    hub.add(REPO, MODEL)
    hub.faults += [Fault("tokenizer.json", "HEAD", status=503, times=3), Fault("config.json", status=429)]
    assert (find(REPO).folder / "model.safetensors").read_bytes() == WEIGHTS
    assert naps


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(GptcliError, match=r"http://127.0.0.1:9 cannot be reached .*check the network"):
        find(REPO)


def test_offline_and_absent(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFound, match=r"HF_HUB_OFFLINE forbids.*gptcli models pull owner/model@step1"):
        find(f"{REPO}@step1")
    assert not hub.requests


@pytest.mark.parametrize("proposals", [(), (2, 5)])
def test_pickles_are_left_there_with_the_ways_out(hub: Hub, proposals: tuple[int, ...]) -> None:
    hub.add(REPO, {"config.json": CONFIG, "pytorch_model.bin": b"pickle"}, proposals=proposals)
    with pytest.raises(CheckpointError, match=r"only as a pickle .pytorch_model.bin") as caught:
        find(REPO)
    hint = "-m owner/model@refs/pr/5" if proposals else "huggingface.co/spaces/safetensors/convert"
    assert hint in str(caught.value)
    assert "save_pretrained('model')" in str(caught.value)
    assert not resolved(hub)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.json": CONFIG, "README.md": b""}, "holds no weights that gptcli reads"),
        (
            {"config.json": CONFIG, "a.safetensors": b"", "b.safetensors": b""},
            "holds only a.safetensors, b.safetensors",
        ),
        ({"model.safetensors": WEIGHTS}, "lacks config.json"),
    ],
)
def test_repositories_without_a_model(hub: Hub, files: dict[str, bytes], message: str) -> None:
    hub.add(REPO, files)
    with pytest.raises(CheckpointError, match=message):
        find(REPO)
    assert not resolved(hub)


@pytest.mark.parametrize("shard", ["../../x.safetensors", "/etc/passwd", "shard.bin", "a\x1b[31m.safetensors", "x y"])
def test_index_that_names_something_else_is_refused(hub: Hub, shard: str) -> None:
    hub.add(REPO, {**shards(a=shard), shard: WEIGHTS})
    with pytest.raises(CheckpointError, match=r"plain file name|no .safetensors file"):
        find(REPO)
    assert resolved(hub) == {"config.json", "model.safetensors.index.json"}


def test_disk_without_room_is_refused_before_the_download(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, MODEL)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
    with pytest.raises(GptcliError, match=r"owner/model needs 160 kB and the disk of .* has 1\.00 kB free"):
        find(REPO)
    assert not hub.asked(server="storage")


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "is full: free some space, or set HF_HOME"), (errno.EACCES, "cannot be written")],
)
def test_disk_that_fails_midway(hub: Hub, monkeypatch: pytest.MonkeyPatch, number: int, message: str) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(number, os.strerror(number))

    hub.add(REPO, MODEL)
    monkeypatch.setattr(hub_file._Hashed, "write", fail)
    with pytest.raises(GptcliError, match=message):
        find(REPO)


def test_half_a_cache_is_not_whole(hub: Hub) -> None:
    """As another program leaves it that wanted only the configuration."""
    hub.add(REPO, MODEL)
    file_download.hf_hub_download(REPO, "config.json")
    assert cached_snapshot(HubName(REPO)) is None
    assert (find(REPO).folder / "model.safetensors").is_file()


def test_cache_of_lies_is_no_cache(hub: Hub, tmp_path: Path) -> None:
    reference = tmp_path / "cache" / "models--owner--model" / "refs" / "main"
    reference.parent.mkdir(parents=True)
    for text in (b"../../..", b"\xff\xfe", b""):
        reference.write_bytes(text)
        assert cached_snapshot(HubName(REPO)) is None
