"""Tokenizers read from checkpoint folders, compared with Hugging Face's on text that is hard to tokenize."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, pre_tokenizers

from gptcli.errors import CheckpointError, InputError
from gptcli.tokenizer import Tokenizer, gpt2_tokenizer, patterns, tokenizer_for
from gptcli.tokenizer.library import LibraryTokenizer
from tests.tokenizer import reference

SPACES = [AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)]  # as GPT-NeoX has them


def byte_level(**options: Any) -> Any:
    return pre_tokenizers.ByteLevel(**options)


KINDS: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "prefix space": {"pre_tokenizer": byte_level(add_prefix_space=True)},
    "no words": {"pre_tokenizer": byte_level(add_prefix_space=False, use_regex=False), "size": 400},
    "neox": {"normalizer": "NFC", "added": SPACES, "special": ["<|endoftext|>", "<|padding|>"]},
    "nfkc": {"normalizer": "NFKC"},
    "llama3": {"pre_tokenizer": reference.split_first(patterns._LLAMA3)},
    "qwen2": {"pre_tokenizer": reference.split_first(patterns._QWEN2), "normalizer": "NFC"},
    "o200k": {"pre_tokenizer": reference.split_first(patterns._O200K)},
    "another pattern": {"pre_tokenizer": reference.split_first(r"\p{N}|[a-f]+|, ")},
    "start": {"special": ["<pad>", "</s>", "<|endoftext|>"], "start": "</s>"},
    "added": {
        "added": [
            AddedToken("heroes", normalized=True),
            AddedToken("hero", single_word=True),
            AddedToken("wear", lstrip=True, rstrip=True, normalized=False),
            AddedToken("ca", single_word=True),
            AddedToken("世界", normalized=True, lstrip=True),
            AddedToken("{{", rstrip=True),
        ],
        "normalizer": "NFC",
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each kind."""
    root = tmp_path_factory.mktemp("tokenizers")
    for name, options in KINDS.items():
        reference.save(reference.trained(**options), root / name)
    return root


def pair(folder: Path, name: str) -> tuple[Tokenizer, Any]:
    from tokenizers import Tokenizer as Theirs

    return tokenizer_for(folder / name, None), Theirs.from_file(str(folder / name / "tokenizer.json"))


def by_rank(tokenizer: Tokenizer) -> Any:
    """What encodes long texts in place of the library, where there is such a thing."""
    assert isinstance(tokenizer, LibraryTokenizer)
    return tokenizer._ranked


def their_ids(theirs: Any, text: str, *, special: bool) -> list[int]:
    theirs.encode_special_tokens = not special
    return list(theirs.encode(text, add_special_tokens=False).ids)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("special", [False, True])
def test_ids_are_those_of_hugging_face(folder: Path, name: str, special: bool) -> None:
    ours, theirs = pair(folder, name)
    for text in (reference.HARD_TEXT, *reference.HARD_TEXT.split("\n"), "", " ", "\n", "\n \n"):
        expected = their_ids(theirs, text, special=special)
        assert ours.encode(text, special=special) == expected
        assert [token for piece in ours.merges(text, special=special) for token in piece.ids] == expected
        assert ours.decode(expected) == theirs.decode(expected, skip_special_tokens=False)
        if by_rank(ours) is not None:
            assert by_rank(ours).encode(text, special=special) == expected
    assert ours.n_vocab == theirs.get_vocab_size()


PIECES = [
    "heroes",
    "hero",
    " wear",
    "wear",
    "ca",
    "世界",
    "{{",
    " ",
    "  ",
    "   ",
    "\n",
    "é",
    "e\u0301",
    "<|endoftext|>",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "prefix space", "neox", "llama3", "o200k", "another pattern", "added"])
def test_ids_are_those_of_hugging_face_for_any_text(folder: Path, name: str) -> None:
    ours, theirs = pair(folder, name)

    @settings(max_examples=150)
    @given(TEXTS, st.booleans())
    def same(text: str, special: bool) -> None:
        expected = their_ids(theirs, text, special=special)
        assert ours.encode(text, special=special) == expected
        if by_rank(ours) is not None:
            assert by_rank(ours).encode(text, special=special) == expected

    same()


@pytest.mark.parametrize("name", ["gpt2", "neox", "llama3", "another pattern", "added"])
def test_what_was_encoded_decodes_to_itself(folder: Path, name: str) -> None:
    ours, _ = pair(folder, name)
    if name not in ("neox", "added"):
        assert ours.decode(ours.encode(reference.HARD_TEXT)) == reference.HARD_TEXT
    assert ours.decode(ours.encode("plain words")) == "plain words"


def test_what_the_model_expects_before_a_text(folder: Path) -> None:
    ours, theirs = pair(folder, "start")
    assert ours.prefix_ids == [theirs.token_to_id("</s>")]
    assert ours.prefix_ids + ours.encode("x") == theirs.encode("x").ids
    assert pair(folder, "gpt2")[0].prefix_ids == []


def write_files(folder: Path, tokenizer: Any, **files: Any) -> Path:
    """vocab.json and merges.txt of a tokenizer, and other JSON files beside them."""
    folder.mkdir(exist_ok=True)
    tokenizer.model.save(str(folder))
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def test_vocab_and_merges_of_gpt2_shape(tmp_path: Path) -> None:
    theirs = reference.trained()
    ours = tokenizer_for(write_files(tmp_path, theirs), None)
    for special in (False, True):
        assert ours.encode(reference.HARD_TEXT, special=special) == their_ids(
            theirs, reference.HARD_TEXT, special=special
        )
    assert ours.eos_id == theirs.token_to_id("<|endoftext|>")
    assert ours.prefix_ids == []


def test_vocab_and_merges_of_opt_shape(tmp_path: Path) -> None:
    # OPT's ids follow word frequency, not the order of the merges: turn them round.
    theirs = reference.trained(special=["<s>", "<pad>", "</s>", "<unk>"])
    vocab = theirs.get_vocab()
    moved = {token: number if number < 4 else len(vocab) + 3 - number for token, number in vocab.items()}
    shared = {"eos_token": {"content": "</s>", "normalized": True}, "bos_token": "</s>", "unk_token": "</s>"}
    folder = write_files(
        tmp_path,
        theirs,
        special_tokens_map={**shared, "pad_token": "<pad>"},
        tokenizer_config={"add_bos_token": True, "add_prefix_space": False},
        vocab=moved,
    )
    ours = tokenizer_for(folder, 1000)
    to_moved = {number: moved[token] for token, number in vocab.items()}
    expected = [to_moved[number] for number in their_ids(theirs, reference.HARD_TEXT, special=False)]
    assert ours.encode(reference.HARD_TEXT) == expected
    assert ours.decode(expected) == reference.HARD_TEXT
    assert ours.prefix_ids == [2]
    assert ours.eos_id == 2
    assert ours.special_tokens == {"</s>": 2, "<pad>": 1}
    assert ours.encode("a</s>", special=True)[-1] == 2
    assert ours.n_vocab == 1000
    assert ours.token_bytes(999) == b""


def test_added_tokens_beside_vocab_and_merges(tmp_path: Path) -> None:
    theirs = reference.trained(size=500)
    folder = write_files(
        tmp_path,
        theirs,
        added_tokens={"<new>": 600, "<|mine|>": 601},
        tokenizer_config={
            "eos_token": "<|mine|>",
            "added_tokens_decoder": {"602": {"content": "heroes", "special": False, "lstrip": True}},
        },
    )
    ours = tokenizer_for(folder, None)
    assert ours.encode("a<new>b<|mine|>")[1] == 600
    assert 601 not in ours.encode("<|mine|>")
    assert ours.encode("<|mine|>", special=True) == [601]
    assert ours.encode("a   heroes") == [*ours.encode("a"), 602]
    assert ours.eos_id == 601
    assert ours.n_vocab == 603


def test_the_bundled_vocabulary_serves_where_its_size_fits(tmp_path: Path) -> None:
    assert tokenizer_for(tmp_path, 50257) is gpt2_tokenizer(50257)
    padded = tokenizer_for(tmp_path, 50304)
    assert padded.n_vocab == 50304
    assert padded.decode_bytes([50303, 31373]) == b"hello"
    with pytest.raises(InputError, match="50304"):
        padded.token_bytes(50304)


@pytest.mark.parametrize("size", [None, 50256, 50265])
def test_no_tokenizer_says_which_files_are_missing(tmp_path: Path, size: int | None) -> None:
    with pytest.raises(CheckpointError, match=r"no tokenizer.json and no vocab.json or merges.txt"):
        tokenizer_for(tmp_path, size)


def test_half_a_tokenizer_is_not_replaced_by_gpt2s(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"no merges.txt"):
        tokenizer_for(tmp_path, 50257)


def test_sentencepiece_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with pytest.raises(CheckpointError, match="SentencePiece"):
        tokenizer_for(tmp_path, 32000)


def test_a_byte_that_the_vocabulary_lacks(tmp_path: Path) -> None:
    theirs = reference.plain([("a", "b")])
    write_files(tmp_path, theirs)
    vocab = json.loads((tmp_path / "vocab.json").read_text())
    del vocab["q"]
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    ours = tokenizer_for(tmp_path, None)
    assert ours.decode(ours.encode("abc")) == "abc"
    with pytest.raises(InputError, match="0x71"):
        ours.encode("quite")
    (tmp_path / "special_tokens_map.json").write_text('{"unk_token": "z"}')
    assert tokenizer_for(tmp_path, None).encode("abqab") == [vocab["ab"], vocab["z"], vocab["ab"]]


def changed(path: str, value: Any) -> dict[str, Any]:
    """A good tokenizer.json with one value replaced."""
    root: dict[str, Any] = json.loads(reference.plain([("a", "b")]).to_str())
    *parents, last = path.split(".")
    place = root
    for parent in parents:
        place = place[parent]
    place[last] = value
    return root


@pytest.mark.parametrize("merge", [5, None, [], ["a"], ["a", 7], "ab", {"a": "b"}])
def test_a_merge_of_any_kind_next_to_a_subword_prefix_is_refused(tmp_path: Path, merge: Any) -> None:
    """What the library would cut the prefix off is looked at first, whatever it is."""
    root = changed("model.continuing_subword_prefix", "##")
    root["model"]["merges"] = [merge]
    (tmp_path / "tokenizer.json").write_text(json.dumps(root))
    with pytest.raises(CheckpointError, match="does not begin with"):
        tokenizer_for(tmp_path, 300)


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ([], "JSON object"),
        ({}, "model"),
        (changed("model", []), "model"),
        (changed("model.type", "Unigram"), "is no tokenizer"),
        (changed("model.type", "Trigram"), "is no tokenizer"),
        (changed("model.continuing_subword_prefix", "####"), "does not begin with"),  # the library would panic
        (changed("model.vocab", None), "is no tokenizer"),
        (changed("model.vocab.ab", -3), "is no tokenizer"),
        (changed("model.merges", ["a"]), "is no tokenizer"),
        (changed("model.merges", [["a", "\n"]]), "is no tokenizer"),
        (changed("pre_tokenizer", {"type": "Sequence", "pretokenizers": 3}), "is no tokenizer"),
        (changed("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated"}), "is no"),
        (changed("normalizer", 3), "normalizer is not a JSON object"),
        (changed("added_tokens", {}), "list"),
        (changed("added_tokens", [{"id": 3}]), "content"),
        (changed("added_tokens", [{"id": "3", "content": "x"}]), "is no tokenizer"),
        (
            changed("post_processor", {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}]}),
            "is no tokenizer",
        ),
    ],
)
def test_broken_tokenizer_json_is_refused(tmp_path: Path, root: Any, message: str) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(root))
    with pytest.raises(CheckpointError, match=message) as caught:
        tokenizer_for(tmp_path, None)
    assert "tokenizer.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"", b"{", b"[" * 100_000])
@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.json", "merges.txt", "special_tokens_map.json"])
def test_files_that_are_no_json_or_no_text_are_refused(tmp_path: Path, name: str, data: bytes) -> None:
    write_files(tmp_path, reference.trained(size=300))
    (tmp_path / name).write_bytes(data)
    if name == "merges.txt" and data == b"":
        return  # a vocabulary without merges is one
    with pytest.raises(CheckpointError, match=name):
        tokenizer_for(tmp_path, None)


@pytest.mark.parametrize("line", ["ab", "a b c", " ab", "ab ", "x\u4e16 y"])
def test_a_bad_line_of_merges_is_named(tmp_path: Path, line: str) -> None:
    write_files(tmp_path, reference.trained(size=300))
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{line}\n")
    with pytest.raises(CheckpointError, match=r"line 2|merge 1"):
        tokenizer_for(tmp_path, None)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.data())
def test_any_damage_to_tokenizer_json_is_an_error_with_a_message(tmp_path_factory: Any, data: st.DataObject) -> None:
    root = json.loads(reference.trained(size=280, start="<|endoftext|>", normalizer="NFC").to_str())
    place: Any = root
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans())):
            break
        place = place[key]
    place[key] = data.draw(st.sampled_from([None, 0, -1, 1e300, "", "\ud800", "x", [], {}, [[]], [{}], True, 2**70]))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "tokenizer.json").write_text(json.dumps(root))
    with contextlib.suppress(CheckpointError, InputError):
        ours = tokenizer_for(folder, None)
        ours.decode(ours.encode(reference.HARD_TEXT))
