"""The hub's cache as other programs leave it: weights without a tokenizer, and repositories under their first names."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.errors import EntryNotFoundError
from safetensors.numpy import load, save
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from gptcli.checkpoint.catalogue import list_models
from gptcli.checkpoint.chat_templates import read_chat_templates
from gptcli.checkpoint.hub.cached import has_tokenizer
from gptcli.checkpoint.source import find
from gptcli.checkpoint.tokenizers import own_tokenizer
from gptcli.errors import GptcliError
from gptcli.model.config import GPTConfig
from gptcli.model.shapes import parameter_shapes
from tests.checkpoint.hub_server import Hub

REPO, TEXT = "owner/own-words", "the king and the queen"
GPT2_SIZE = 50257


def trained() -> Tokenizer:
    """A tokenizer of its own, as GPT-2s of other languages have."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator([TEXT] * 9, trainers.BpeTrainer(vocab_size=280, initial_alphabet=alphabet))
    return made


TOKENIZER = trained().to_str().encode()


def model(**more: bytes) -> dict[str, bytes]:
    """A GPT-2 of the usual number of tokens, and further files."""
    shape = {"vocab_size": GPT2_SIZE, "n_positions": 4, "n_embd": 2, "n_layer": 1, "n_head": 1}
    tensors = {
        name: np.ones(size[::-1] if ".c_" in name else size, np.float16)
        for name, size in parameter_shapes(GPTConfig(**shape)).items()  # type: ignore[arg-type]
    }
    config = json.dumps({"model_type": "gpt2", **shape}).encode()
    return {"config.json": config, "model.safetensors": save(tensors), **more}


def loaded_by_another_program(repo: str = REPO) -> Path:
    """What a program that loads a model without its tokenizer leaves."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(constants, "HF_HUB_DISABLE_XET", True)
        for file in ("config.json", "model.safetensors"):
            path = file_download.hf_hub_download(repo, file)
    return Path(path).parent


def ids(name: str = REPO) -> list[int]:
    tokenizer, notes = own_tokenizer(find(name))
    assert not notes
    return tokenizer.encode(TEXT)


def test_weights_without_a_tokenizer_are_completed(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add(REPO, model(**{"tokenizer.json": TOKENIZER, "tokenizer_config.json": b"{}"}))
    snapshot = loaded_by_another_program()
    assert not has_tokenizer(snapshot)
    before = len(hub.asked("HEAD"))
    assert ids() == trained().encode(TEXT).ids
    assert find(REPO).folder == snapshot
    assert "asking the hub for it" in capsys.readouterr().err
    assert not any("model.safetensors" in path for path in hub.asked("HEAD")[before:])
    asked = len(hub.requests)
    assert ids() == trained().encode(TEXT).ids
    assert len(hub.requests) == asked


def test_tokenizer_is_of_the_commit_that_is_in_the_cache(hub: Hub) -> None:
    repo = hub.add(REPO, model(**{"tokenizer.json": TOKENIZER}))
    loaded_by_another_program()
    repo.push(model(**{"tokenizer.json": b"{}", "more.json": b"{}"}))
    assert ids() == trained().encode(TEXT).ids


def test_offline_the_command_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, model(**{"tokenizer.json": TOKENIZER}))
    loaded_by_another_program()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    source = find(REPO)
    assert source.header is not None  # what needs no tokenizer goes on
    with pytest.raises(GptcliError, match=rf"run 'gptcli models pull {REPO}' where there is a network"):
        own_tokenizer(source)


def test_repository_without_a_tokenizer_is_asked_once(hub: Hub) -> None:
    hub.add(REPO, model())
    loaded_by_another_program()
    for _ in range(2):
        _, notes = own_tokenizer(find(REPO))
        (note,) = notes
        assert note.startswith(f"{REPO} comes without a tokenizer: by the size of its vocabulary, 50,257, it is taken")
        asked = len(hub.requests)
    assert has_tokenizer(find(REPO).folder)
    assert len(hub.requests) == asked


def test_another_program_that_found_no_tokenizer_is_believed(hub: Hub) -> None:
    """The client notes which files a commit lacks; nobody needs to ask again."""
    hub.add(REPO, model())
    snapshot = loaded_by_another_program()
    for file in ("tokenizer.json", "vocab.json"):
        with pytest.raises(EntryNotFoundError):
            file_download.hf_hub_download(REPO, file)
    assert has_tokenizer(snapshot)


def test_name_is_the_repositorys(hub: Hub) -> None:
    hub.add(REPO, model(**{"tokenizer.json": TOKENIZER}))
    folder = find(REPO).folder
    for name in (REPO, str(folder)):
        assert own_tokenizer(find(name))[0].name == REPO


@pytest.mark.parametrize(
    ("folder", "name", "repo"),
    [
        ("models--gpt2", "gpt2", "openai-community/gpt2"),
        ("models--gpt2-xl", "gpt2-xl", "openai-community/gpt2-xl"),
        ("models--distilgpt2", "distilgpt2", "distilbert/distilgpt2"),
        ("models--openai-gpt", "openai-community/openai-gpt", "openai-community/openai-gpt"),
    ],
)
def test_first_names_of_repositories(
    folder: str, name: str, repo: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``from_pretrained("gpt2")`` filled caches for years before the repositories had owners."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cache, commit = Path(constants.HF_HUB_CACHE), "607a30d783dfa663caf39e06633721c8d4cfcd7e"
    snapshot = cache / folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file, content in model(**{"tokenizer.json": TOKENIZER}).items():
        (snapshot / file).write_bytes(content)
    (cache / folder / "refs").mkdir()
    (cache / folder / "refs" / "main").write_text(commit)
    assert find(name).folder == snapshot
    assert ids(name) == trained().encode(TEXT).ids
    assert [cached.model for cached in list_models().cached] == [repo]
    assert not hub.requests
    new = cache / f"models--{repo.replace('/', '--')}"
    shutil.copytree(cache / folder, new)
    assert find(name).folder == new / "snapshots" / commit
    assert [(cached.model, cached.folder) for cached in list_models().cached] == [(repo, find(name).folder)]


def test_first_names_of_other_repositories_are_left_alone(hub: Hub) -> None:
    snapshot = Path(constants.HF_HUB_CACHE) / "models--bert-base-uncased" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for file, content in model().items():
        (snapshot / file).write_bytes(content)
    assert not list_models().cached


def test_further_chat_templates_are_fetched(hub: Hub) -> None:
    templates = {
        "additional_chat_templates/tool_use.jinja": b"{{ tools }}",
        "additional_chat_templates/rag.jinja": b"{{ documents }}",
        "additional_chat_templates/notes.txt": b"no template",
        "additional_chat_templates/deep/er.jinja": b"no template",
        "other/x.jinja": b"no template",
    }
    hub.add(REPO, model(**{"tokenizer.json": TOKENIZER, "chat_template.jinja": b"{{ messages }}", **templates}))
    folder = find(REPO).folder
    found = {name: template.text for name, template in read_chat_templates(folder).by_name.items()}
    assert found == {"default": "{{ messages }}", "tool_use": "{{ tools }}", "rag": "{{ documents }}"}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja",
        "additional_chat_templates/tool_use.jinja", "additional_chat_templates/rag.jinja",
    }  # fmt: skip
    assert load((folder / "model.safetensors").read_bytes())
