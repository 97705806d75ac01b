"""A name on the command line -> files: in which order names are looked up, and what is said when none fits."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from gptcli.checkpoint.hub.names import SHORT_NAMES, HubName, parse_hub_name, similar
from gptcli.checkpoint.hub.spellings import why_not_there
from gptcli.checkpoint.source import find, no_weights
from gptcli.errors import InputError, ModelNotFound
from gptcli.system.bundled import bundled_names
from tests.checkpoint.zoo import open_folder


def make(folder: Path, *files: str) -> Path:
    """A folder with empty files."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).write_bytes(b"")
    return folder


def test_folder_comes_before_the_bundled_checkpoint_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("tales").folder.parent.name in ("weights", "_weights")
    make(tmp_path / "tales", "model.safetensors")
    assert find("tales").folder == Path("tales")


def test_folder_comes_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("gpt2", "owner/model", "pythia-70m@step1"):
        folder = make(tmp_path / name, "model.safetensors")
        source = find(name)
        assert (tmp_path / source.folder, source.hub_name) == (folder, None)


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        (("model.safetensors", "model.safetensors.index.json", "a.safetensors"), "model.safetensors"),
        (("model.safetensors.index.json", "a.safetensors", "b.safetensors"), "model.safetensors.index.json"),
        (("mine.safetensors",), "mine.safetensors"),
        (("config.json",), None),
        (("model.safetensors", "consolidated.safetensors"), "model.safetensors"),
        (("model.safetensors.index.json", "model-00001-of-00001.safetensors", "consolidated.safetensors"),
         "model.safetensors.index.json"),
        (("model.safetensors", "model.fp16.safetensors"), "model.safetensors"),
        (("model.safetensors.index.json", "model.safetensors.index.fp16.json"), "model.safetensors.index.json"),
        (("model.fp16.safetensors",), "model.fp16.safetensors"),
        (("model.fp16.safetensors", "consolidated.safetensors"), "model.fp16.safetensors"),
        (("model.safetensors.index.fp16.json", "model.fp16-00001-of-00002.safetensors",
          "model.fp16-00002-of-00002.safetensors"), "model.safetensors.index.fp16.json"),
        (("model.bf16.safetensors.index.json", "model.bf16-00001-of-00001.safetensors"),
         "model.bf16.safetensors.index.json"),
        (("nano.safetensors.index.json", "nano-00001-of-00001.safetensors"), "nano.safetensors.index.json"),
        (("nano.safetensors", "optimizer.safetensors"), "nano.safetensors"),
    ],
)  # fmt: skip
def test_which_file_of_a_folder_is_taken(tmp_path: Path, files: tuple[str, ...], weights: str | None) -> None:
    source = find(str(make(tmp_path / "folder", *files)))
    assert source.weights == (weights and tmp_path / "folder" / weights)


def test_several_files_and_no_index_is_a_question_back(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"several .* \(a.safetensors, b.safetensors\): name one of them"):
        find(str(make(tmp_path, "a.safetensors", "b.safetensors")))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("model.fp16.safetensors", "model.bf16.safetensors", "x.safetensors"),
         r"\(model.bf16.safetensors, model.fp16.safetensors\): name one of them \('.*/model.bf16.safetensors'\)"),
        (("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
         "shards of a model .* and not their index: put model.safetensors.index.json there too"),
    ],
)  # fmt: skip
def test_files_that_do_not_tell_which(files: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        find(str(make(tmp_path, *files)))


def test_lone_file(tmp_path: Path) -> None:
    file = make(tmp_path, "x.safetensors") / "x.safetensors"
    assert (find(str(file)).folder, find(str(file)).weights) == (tmp_path, file)


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.pth", "model.ckpt"])
def test_pickle_is_refused_with_a_way_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"is a pickle.*safetensors\.torch\.save_file"):
        find(str(make(tmp_path, name) / name))


def suggested(told: str) -> str:
    """The Python that an error suggests."""
    return told.partition("convert it in Python where you trust it: ")[2]


@pytest.mark.parametrize(
    "wrapped",
    [lambda state: state, lambda state: {"model": state, "iter": 3}, lambda state: {"model_state_dict": state}],
)
def test_what_is_suggested_converts(
    wrapped: Callable[[Any], Any], gpt2_reference: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a model whose embeddings share memory, as GPT-2's do."""
    monkeypatch.chdir(tmp_path)
    torch.save(wrapped(gpt2_reference.state_dict()), "ckpt.pt")
    with pytest.raises(InputError) as told:
        find("ckpt.pt")
    assert str(told.value).count("\n") == 0
    exec(suggested(str(told.value)))
    saved = load_file("ckpt.safetensors")
    assert saved.keys() == gpt2_reference.state_dict().keys()
    assert all(torch.equal(saved[key], tensor) for key, tensor in gpt2_reference.state_dict().items())


def test_what_is_suggested_converts_a_folder(gpt2_reference: Any, gpt2_folder: Path, tmp_path: Path) -> None:
    shutil.copy(gpt2_folder / "config.json", tmp_path)
    torch.save(gpt2_reference.state_dict(), tmp_path / "pytorch_model.bin")
    told = no_weights(find(str(tmp_path)))
    exec(suggested(str(told)))
    assert open_folder(tmp_path)[0].family == "gpt2"


@pytest.mark.parametrize(
    ("typed", "meant"), [("gtp2", "gpt2"), ("Pythia-70", "pythia-70m"), ("tale", "tales"), ("opt-125", "opt-125m")]
)
def test_misspelt_names_are_answered_with_near_ones(typed: str, meant: str) -> None:
    with pytest.raises(ModelNotFound, match=rf"no model '{typed}'.*did you mean .*\b{meant}\b") as caught:
        find(typed)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "name",
    ["", "x" * 5000, "a\0b", "~nobody-here/x", "no/such.safetensors", "/no/such", "a/b/c", "../x/y", "./x/y", "a/b@"],
)
def test_names_that_never_reach_the_network(name: str) -> None:
    assert parse_hub_name(name) is None
    with pytest.raises(ModelNotFound, match="gptcli models list"):
        find(name)


@pytest.mark.parametrize(
    ("name", "repo", "revision"),
    [
        ("gpt2", "openai-community/gpt2", "main"),
        ("pythia-1.4b-deduped@step1000", "EleutherAI/pythia-1.4b-deduped", "step1000"),
        ("opt-125m@refs/pr/3", "facebook/opt-125m", "refs/pr/3"),
        ("cerebras-gpt-111m", "cerebras/Cerebras-GPT-111M", "main"),
        ("tinystories-33m", "roneneldan/TinyStories-33M", "main"),
        ("gpt-neo-1.3b", "EleutherAI/gpt-neo-1.3B", "main"),
        ("owner/model.v2@v1.0", "owner/model.v2", "v1.0"),
    ],
)
def test_hub_names(name: str, repo: str, revision: str) -> None:
    assert parse_hub_name(name) == HubName(repo, revision)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("GPT2", "openai-community/gpt2"),
        ("gpt-2", "openai-community/gpt2"),
        ("gpt2-small", "openai-community/gpt2"),
        ("gpt-2-medium", "openai-community/gpt2-medium"),
        ("gpt2-1.5B", "openai-community/gpt2-xl"),
        ("Pythia-70M@step3", "EleutherAI/pythia-70m@step3"),
        ("openai-community/gpt2/", "openai-community/gpt2"),
        ("hf.co/gpt2", "openai-community/gpt2"),
        ("hf.co/owner/name", "owner/name"),
        ("hf://owner/name@v1", "owner/name@v1"),
        ("huggingface.co/owner/name", "owner/name"),
        ("https://huggingface.co/owner/name", "owner/name"),
        ("HTTPS://www.HuggingFace.co/owner/name/", "owner/name"),
        ("https://huggingface.co/owner/name?library=transformers#usage", "owner/name"),
        ("https://huggingface.co/gpt2/tree/main", "openai-community/gpt2"),
        ("https://huggingface.co/owner/name/tree/main", "owner/name"),
        ("https://huggingface.co/owner/name/tree/step3000/sub", "owner/name@step3000"),
        ("https://huggingface.co/owner/name/tree/refs%2Fpr%2F7", "owner/name@refs/pr/7"),
        ("https://huggingface.co/owner/name/blob/refs/pr/7/config.json", "owner/name@refs/pr/7"),
        ("https://huggingface.co/owner/name/blob/main/model.safetensors", "owner/name"),
        ("https://huggingface.co/owner/name/resolve/v2/model.safetensors?download=true", "owner/name@v2"),
        ("https://huggingface.co/api/models/owner/name", "owner/name"),
        ("https://huggingface.co/owner/name/discussions", "owner/name"),
        ("owner/name:main", "owner/name"),
        ("owner/name:step3", "owner/name@step3"),
        ("pythia-70m:latest", "EleutherAI/pythia-70m"),
        ("hf.co/owner/name:v2", "owner/name@v2"),
    ],
)
def test_pasted_addresses_and_names_of_other_programs(typed: str, name: str) -> None:
    assert str(parse_hub_name(typed)) == name


def test_pasted_addresses_of_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.org/")
    address = "https://hub.example.org/owner/name/tree/v2"
    assert str(parse_hub_name(address)) == "owner/name@v2"
    assert why_not_there(address) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt-3", "'gptcli params gpt3' counts them"),
        ("gpt3-xl", "'gptcli params gpt3' counts them"),
        ("GPT-4o-mini", "neither its weights nor its size are public"),
        ("chatgpt", "neither its weights nor its size are public"),
        ("openai/gpt-4", "neither its weights nor its size are public"),
        ("https://huggingface.co/datasets/owner/name", "that is a data set, and no model"),
        ("https://example.com/owner/name", "understood if it is one of huggingface.co"),
        ("https://huggingface.co", "understood if it is one of huggingface.co"),
        ("gpt2-smal", "did you mean gpt2"),
    ],
)
def test_names_that_no_model_has(name: str, said: str) -> None:
    with pytest.raises(ModelNotFound, match=f"no model '{name}'") as caught:
        find(name)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["gpt4all/gpt4all-j", "owner/gpt-4-clone", "gpt-oss-20b", "gpt-neo-125m", "o/gemini"])
def test_names_that_only_look_like_closed_models(name: str) -> None:
    assert why_not_there(name) is None
    assert parse_hub_name(name) is not None


def test_short_names_are_good_names() -> None:
    for short, repo in SHORT_NAMES.items():
        assert short == short.lower()
        assert parse_hub_name(repo) == parse_hub_name(short) == HubName(repo)
    assert len(set(SHORT_NAMES.values())) == len(SHORT_NAMES)
    assert not set(bundled_names()) & set(SHORT_NAMES)


@pytest.mark.slow
@given(st.text(st.sampled_from("aZ0_-./@\\ \x1b%?#:~"), max_size=40))
def test_no_hub_name_leaves_its_place_in_the_cache(text: str) -> None:
    """What is accepted can stand in a path and in an address as it is."""
    name = parse_hub_name(text)
    if name is not None:
        assert len(Path(name.repo).parts) == 2
        for part in (*Path(name.repo).parts, *Path(name.revision).parts):
            assert part not in ("..", ".", "/")
        assert not set(str(name)) & set("\\ \x1b%?#:~")
        assert parse_hub_name(str(name)) == name


def test_similar_ignores_case_and_revision() -> None:
    assert similar("PYTHIA-70M@step3", SHORT_NAMES)[0] == "pythia-70m"
    assert similar("zzzzzz", SHORT_NAMES) == []
