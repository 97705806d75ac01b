"""Healthy checkpoints that the mutants are made from: tiny models of every family, and word vectors."""

import copy
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken

from gptcli.checkpoint.weights.kept import KINDS
from gptcli.measuring.quantization import keep_quantized
from gptcli.model.native import available
from tests.checkpoint.zoo import FAMILIES, reference
from tests.generation.made_templates import CHATML
from tests.tokenizer import kinds
from tests.tokenizer.reference import save, split_first, trained

VOCAB_SIZE = 300
CACHE = "cache"  # in a seed's folder: what its user's cache holds
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)


def write_seeds(folder: Path) -> list[Path]:
    """Write every seed into a folder of its own; returns the folders, in a fixed order."""
    makers: list[tuple[str, Callable[[Path], None]]] = [
        ("gpt2", lambda place: _model(place, "gpt2", _gpt2_tokenizer)),
        ("gpt2-files", lambda place: _model(place, "gpt2 untied", _vocab_and_merges)),
        ("gpt2-shards", _shards),
        ("gpt2-alone", _without_config),
        ("gpt_neo", lambda place: _model(place, "gpt_neo", _gpt2_tokenizer)),
        ("gptj", lambda place: _model(place, "gptj", _split_tokenizer)),
        ("gpt_neox", lambda place: _model(place, "gpt_neox", _normalising_tokenizer)),
        ("opt", lambda place: _model(place, "opt as 350m", _vocab_and_merges)),
        ("openai-gpt", lambda place: _model(place, "openai-gpt", _word_tokenizer)),
        ("gpt2-llama2", lambda place: _model(place, "gpt2", _of_kind("llama2"), 800)),
        ("gpt2-gemma", lambda place: _model(place, "gpt2", _of_kind("gemma"), 800)),
        ("gpt2-smollm", lambda place: _model(place, "gpt2", _of_kind("smollm"), 800)),
        ("gpt2-unigram", lambda place: _model(place, "gpt2", _of_kind("unigram"))),
        ("gpt2-wordpiece", lambda place: _model(place, "gpt2", _of_kind("wordpiece"))),
        ("llama", lambda place: _model(place, "llama llama3", _gpt2_tokenizer)),
        ("gemma3", lambda place: _model(place, "gemma3", _gpt2_tokenizer)),
        ("phi3", lambda place: _model(place, "phi3 longrope", _gpt2_tokenizer)),
        ("stablelm", lambda place: _model(place, "stablelm side by side", _gpt2_tokenizer)),
        ("vectors", _vectors),
        ("gpt2-kept", _with_kept),
        ("hub", _hub),
    ]
    places = []
    for name, make in makers:
        place = folder / name
        place.mkdir(parents=True)
        make(place)
        places.append(place)
    return places


def _model(place: Path, case: str, tokenizer: Callable[[Path], None], vocab_size: int = VOCAB_SIZE) -> None:
    config = copy.deepcopy(FAMILIES[case])
    config.vocab_size = vocab_size
    reference(config).save_pretrained(place)
    tokenizer(place)


def _gpt2_tokenizer(place: Path) -> None:
    save(trained(VOCAB_SIZE - 2, added=[AddedToken("<pad>", special=True, lstrip=True)], start="<|endoftext|>"), place)
    declared = {"eos_token": "<|endoftext|>", "unk_token": {"content": "<|endoftext|>"}, "add_prefix_space": False}
    (place / "tokenizer_config.json").write_text(json.dumps(declared))


def _of_kind(kind: str) -> Callable[[Path], None]:
    def write(place: Path) -> None:
        save(kinds.KINDS[kind](), place)
        added = {"content": "<|im_end|>", "special": True, "lstrip": False, "rstrip": False, "normalized": False}
        declared = {"eos_token": "<|im_end|>", "added_tokens_decoder": {"799": added}}
        (place / "tokenizer_config.json").write_text(json.dumps(declared if kind != "unigram" else {}))

    return write


def _split_tokenizer(place: Path) -> None:
    save(trained(VOCAB_SIZE, pre_tokenizer=split_first(LLAMA3)), place)
    (place / "chat_template.jinja").write_text(CHATML)
    (place / "generation_config.json").write_text('{"do_sample": true, "temperature": 0.6, "eos_token_id": [0, 1]}')


def _normalising_tokenizer(place: Path) -> None:
    save(trained(VOCAB_SIZE - 1, normalizer="NFC", added=[AddedToken("  ", normalized=True)]), place)
    (place / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": "<|endoftext|>"}}))


def _vocab_and_merges(place: Path) -> None:
    trained(VOCAB_SIZE).model.save(str(place))
    declared = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "add_bos_token": True}
    (place / "tokenizer_config.json").write_text(json.dumps(declared))
    (place / "added_tokens.json").write_text(json.dumps({"<extra>": VOCAB_SIZE - 1}))


def _word_tokenizer(place: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz.,!?'-"
    merges = [("t", "h"), ("th", "e</w>"), ("a", "n"), ("an", "d</w>"), ("i", "n</w>")]
    tokens = [
        "<unk>",
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *(first + second for first, second in merges),
    ]
    vocab = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    (place / "vocab.json").write_text(json.dumps(vocab))
    (place / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in merges))
    model = {"type": "BPE", "unk_token": "<unk>", "end_of_word_suffix": "</w>", "vocab": vocab, "merges": merges}
    clean = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    steps = {"normalizer": {"type": "BertNormalizer", **clean}, "pre_tokenizer": {"type": "BertPreTokenizer"}}
    (place / "tokenizer.json").write_text(json.dumps({"added_tokens": [], "model": model, **steps}))


def _shards(place: Path) -> None:
    _model(place, "gpt2 of one head", _gpt2_tokenizer)
    tensors = load_file(place / "model.safetensors")
    (place / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for number in range(3):
        shard = f"model-0000{number + 1}-of-00003.safetensors"
        held = names[number::3]
        save_file({name: tensors[name] for name in held}, place / shard, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(held, shard)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))


def _with_kept(place: Path) -> None:
    """With its user's cache in a folder, which keeps its matrices in 8 and 4 bits where the engine in C is there."""
    _model(place, "gpt2", _gpt2_tokenizer)
    if available():
        with using_cache(place / CACHE):
            for quantize in KINDS:
                keep_quantized(str(place), quantize)


@contextmanager
def using_cache(folder: Path) -> Iterator[None]:
    """Have gptcli keep things there meanwhile."""
    before = os.environ.get("GPTCLI_CACHE")
    os.environ["GPTCLI_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["GPTCLI_CACHE"]
        else:
            os.environ["GPTCLI_CACHE"] = before


def _without_config(place: Path) -> None:
    """A lone file of heads of 64, whose shapes tell everything."""
    config = copy.deepcopy(FAMILIES["gpt2"])
    config.vocab_size, config.n_embd, config.n_head, config.n_layer = VOCAB_SIZE, 64, 1, 1
    reference(config).save_pretrained(place)
    (place / "config.json").unlink()
    _gpt2_tokenizer(place)


def _hub(place: Path) -> None:
    """What a hub answers about a model: the list of its files, the headers of an answer, and the start of a file."""
    _without_config(place)
    nbytes, commit, digest = (place / "model.safetensors").stat().st_size, "a" * 40, "b" * 64
    siblings = [{"rfilename": "config.json", "size": 98}, {"rfilename": "model.safetensors", "size": nbytes}]
    about = {"tags": ["text-generation"], "cardData": {"license": "mit", "values": [-1, 0.5]}, "private": False}
    (place / "listing.json").write_text(json.dumps({"id": "o/m", "sha": commit, "siblings": siblings, **about}))
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "98",
        "Content-Range": f"bytes 0-97/{nbytes}",
        "ETag": f'W/"{commit}"',
        "X-Linked-Etag": f'"{digest}"',
        "X-Linked-Size": str(nbytes),
        "X-Repo-Commit": commit,
        "Location": f"https://storage.example/{digest}?signature=x",
        "Retry-After": "7",
        "X-Error-Code": "EntryNotFound",
        "X-Error-Message": "Entry not found",
    }
    request = {"method": "GET", "url": "https://hub.example/o/m/resolve/main/config.json", "range": "bytes=0-97"}
    (place / "answer.json").write_text(json.dumps({"status": 206, "headers": headers, **request}))


def _vectors(place: Path) -> None:
    words = ["the", "king", "queen", "man", "woman", "naïve", "日本"]
    matrix: Any = np.random.default_rng(0).normal(size=(len(words), 5)).astype(np.float16)
    save_file({"embedding.weight": matrix}, place / "model.safetensors")
    (place / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    (place / "config.json").write_text(json.dumps({"model_type": "word-vectors", "lowercase": True}))
