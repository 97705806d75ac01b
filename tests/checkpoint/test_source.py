"""A name on the command line -> files: in which order names are looked up, and what is said when none fits."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.checkpoint.hub.names import SHORT_NAMES, HubName, parse_hub_name, similar
from gptcli.checkpoint.hub.spellings import why_not_there
from gptcli.checkpoint.source import find
from gptcli.errors import InputError, ModelNotFound
from gptcli.system.bundled import bundled_names


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
    ],
)
def test_which_file_of_a_folder_is_taken(tmp_path: Path, files: tuple[str, ...], weights: str | None) -> None:
    source = find(str(make(tmp_path / "folder", *files)))
    assert source.weights == (weights and tmp_path / "folder" / weights)


def test_several_files_and_no_index_is_a_question_back(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"several .* \(a.safetensors, b.safetensors\): name one of them"):
        find(str(make(tmp_path, "a.safetensors", "b.safetensors")))


def test_lone_file(tmp_path: Path) -> None:
    file = make(tmp_path, "x.safetensors") / "x.safetensors"
    assert (find(str(file)).folder, find(str(file)).weights) == (tmp_path, file)


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.pth", "model.ckpt"])
def test_pickle_is_refused_with_a_way_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"is a pickle.*safetensors\.torch\.save_file"):
        find(str(make(tmp_path, name) / name))


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
