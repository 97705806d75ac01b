"""A name -> an embedding."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gptcli.embedding.load import open_embedding
from gptcli.errors import CheckpointError, InputError, ModelNotFound
from tests import glove


def word_vectors(folder: Path, words: str = "a\nb\nc\n", **tensors: torch.Tensor) -> Path:
    config = {"model_type": "word-vectors", "vocab_size": 3, "n_embd": 2, "lowercase": True}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "vocab.txt").write_text(words, encoding="utf-8")
    save_file(tensors or {"embedding.weight": torch.arange(6.0).reshape(3, 2)}, folder / "model.safetensors")
    return folder


def test_the_bundled_vectors_are_the_published_ones() -> None:
    # The first numbers of "the", the first word of glove.6B.50d.
    assert glove.bundled().vector([0])[:5] == pytest.approx([0.418, 0.24968, -0.41242, 0.1217, 0.34527], abs=0.002)


def test_the_bundled_words_are_the_most_frequent_ones() -> None:
    embedding = glove.bundled()
    assert embedding.matrix.shape == (100_000, 50)
    assert [embedding.vocabulary.name(row) for row in (0, 1, 2, 99_999)] == ["the", ",", ".", "autocephalous"]


def test_a_folder_of_word_vectors(tmp_path: Path) -> None:
    embedding = open_embedding(str(word_vectors(tmp_path)))
    assert embedding.vector(embedding.vocabulary.rows("B")).tolist() == [2.0, 3.0]
    assert embedding.tensor == "embedding.weight"


def test_a_matrix_of_another_name(tmp_path: Path) -> None:
    folder = word_vectors(tmp_path, vectors=torch.ones(3, 2), scale=torch.ones(3))
    assert open_embedding(str(folder)).tensor == "vectors"


@pytest.mark.parametrize(
    ("words", "tensors", "fault"),
    [
        ("a\nb\n", {}, "2 words, but embedding.weight has 3 rows"),
        ("", {}, "cannot read the words"),
        ("a\nb\nc\n", {"x": torch.ones(3, 2), "y": torch.ones(3, 2)}, "2 matrices"),
    ],
)
def test_files_that_do_not_fit(words: str, tensors: dict[str, torch.Tensor], fault: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=fault):
        open_embedding(str(word_vectors(tmp_path, words, **tensors)))


def test_word_vectors_without_words(tmp_path: Path) -> None:
    (word_vectors(tmp_path) / "vocab.txt").unlink()
    with pytest.raises(CheckpointError, match=r"vocab\.txt"):
        open_embedding(str(tmp_path))


def test_word_vectors_have_no_unembedding() -> None:
    with pytest.raises(InputError, match="only a GPT has an unembedding"):
        open_embedding("glove-50d", unembedding=True)


def test_no_such_name() -> None:
    with pytest.raises(ModelNotFound):
        open_embedding("no such embedding")


def test_a_gpts_embedding_is_its_wte() -> None:
    embedding = open_embedding("tales")
    assert embedding.tensor == "wte.weight"
    assert embedding.matrix.shape == (50_257, 256)
    assert open_embedding("tales", unembedding=True).tensor == "wte.weight"


def test_an_unembedding_of_its_own(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=1, n_head=2, n_embd=8, n_positions=16, tie_word_embeddings=False)
    model = GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path)
    for unembedding, weight in ((False, model.transformer.wte.weight), (True, model.lm_head.weight)):
        embedding = open_embedding(str(tmp_path), unembedding=unembedding)
        assert np.array_equal(embedding.matrix.take([5, 50_256]), weight.detach().numpy()[[5, 50_256]])
