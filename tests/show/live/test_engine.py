"""The engine in WebAssembly, in node: the numbers of the one for this machine, for every family and kind of weight."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.generation_config import GenerationConfig
from gptcli.checkpoint.read import Checkpoint
from gptcli.checkpoint.source import find
from gptcli.checkpoint.weights.native_loader import load_native
from gptcli.checkpoint.weights.placement import Placement
from gptcli.errors import InputError
from gptcli.model.engine import Quantize
from gptcli.model.native import library
from gptcli.model.native.engine import NativeEngine
from gptcli.show.live import pack
from gptcli.show.live.parts import packed_library
from gptcli.show.live.text_encoding import encode_bytes
from gptcli.tokenizer import RankTokenizer, patterns
from tests.checkpoint.decoders import DECODERS
from tests.checkpoint.zoo import CONFIGS, reference, rewrite, understand
from tests.made import made
from tests.show.live.node import run

pytestmark = pytest.mark.skipif(library.library() is None, reason="the engine in C was not built")
BYTES = RankTokenizer("bytes", {bytes([byte]): byte for byte in range(256)}, patterns.GPT2)
CASES = {**CONFIGS, **DECODERS}
# What differs between families: positions, windows, norms and their places, gates, caps, scales, shared keys.
TRIED = (
    *("gpt2", "gpt_neo", "gptj", "gpt_neox", "opt", "openai-gpt", "llama llama3", "llama dynamic", "llama longrope"),
    *("gemma2", "gemma3 with caps", "ministral3", "bloom of eight heads", "mpt clamped", "falcon", "cohere", "granite"),
)
ASK = """
const said = [];
for (const { texts, ...model } of given) {
  const engine = gptcliEngine();
  await engine.start(model);
  for (const ids of texts) {
    const read = engine.read(ids);
    const places = [];
    const { layers, heads } = model.description;
    for (let layer = 0; layer <= layers; layer++) places.push(...ids.map((_, i) => [layer, i]));
    const patterns = [];
    for (let at = 0; at < layers * heads; at++)
      patterns.push(numbers(engine.pattern(ids, Math.floor(at / heads), at % heads)));
    const { ids: ranked, logits, rest } = engine.distribution(ids, ids.length >> 1);
    said.push({
      read,
      next: numbers(engine.next(ids)),
      patterns,
      lens: engine.lens(ids, places),
      ranked: [...ranked],
      logits: numbers(logits),
      rest,
    });
  }
}
return said;
"""


def checkpoint(folder: Path) -> Checkpoint:
    blueprint, header = understand(folder)
    return Checkpoint(find(str(folder)), header, blueprint, BYTES, (), GenerationConfig((), Fields({}, "")))


def asked(what: Checkpoint, quantize: Quantize, texts: Iterable[list[int]]) -> dict[str, Any]:
    packed, binary = pack.pack_model(what, quantize), packed_library()
    return {
        "library": encode_bytes(binary),
        "weights": encode_bytes(packed.weights),
        "sizes": {"library": len(binary), "weights": len(packed.weights)},
        "description": json.loads(json.dumps(packed.description)),
        "texts": list(texts),
    }


def native(what: Checkpoint, quantize: Quantize) -> NativeEngine:
    return load_native(what.blueprint, what.header, Placement("cpu", quantize=quantize))


def floats(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), np.float32)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers: NDArray[np.float64] = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def check(said: dict[str, Any], engine: NativeEngine, ids: list[int], n_vocab: int, near: float = 1e-3) -> None:
    record = engine.record(ids)
    logits = record.logits[:, :n_vocab]
    assert floats(said["next"]) == pytest.approx(logits[-1], abs=near)
    surprisals = -np.log2([row[following] for row, following in zip(softmax(logits), ids[1:], strict=False)])
    assert said["read"][0] is None
    assert said["read"][1:] == pytest.approx(surprisals, abs=2 * near)
    layers = engine.config.n_layer
    patterns = np.concatenate([record.pattern(layer) for layer in range(layers)])
    theirs = np.stack([floats(each) for each in said["patterns"]]).reshape(patterns.shape)
    assert theirs == pytest.approx(patterns, abs=near / 10)
    stages = softmax(engine.unembed(record.stream.reshape(-1, record.stream.shape[-1]))[:, :n_vocab])
    for probabilities, guesses in zip(stages, said["lens"], strict=True):
        assert len(guesses) == 10
        assert [each["probability"] for each in guesses] == pytest.approx(np.sort(probabilities)[::-1][:10], abs=near)
        assert [each["probability"] for each in guesses] == pytest.approx(
            [probabilities[each["id"]] for each in guesses], abs=near
        )
    half = logits[len(ids) // 2]
    assert sorted(said["ranked"]) == list(range(n_vocab))
    assert floats(said["logits"]) == pytest.approx(np.sort(half)[::-1], abs=near)
    assert half[said["ranked"]] == pytest.approx(np.sort(half)[::-1], abs=near)
    assert said["rest"] == []


@pytest.mark.slow
def test_every_family(tmp_path: Path) -> None:
    """Texts that begin in the same way, get shorter, and are others: what is kept in memory does not show."""
    cases = []
    for name in sorted(TRIED):
        folder = tmp_path / name
        reference(CASES[name]).save_pretrained(folder)
        what = checkpoint(folder)
        ids = np.random.default_rng(3).integers(0, what.n_vocab, 31).tolist()
        texts = [ids[:9], ids[:30], [*ids[:12], *ids[3:6]], ids[:2]]
        cases.append((name, what, [text for text in texts if len(text) <= pack.longest(what.config)]))
    said = iter(run(ASK, [asked(what, "none", texts) for _, what, texts in cases]))
    for _name, what, texts in cases:
        engine = native(what, "none")
        for text in texts:
            check(next(said), engine, text, what.n_vocab)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int4", "int8", "F16", "BF16"])
def test_every_kind_of_weight(kind: str, tmp_path: Path) -> None:
    """Of a model whose embedding is written as a prediction, with a text that is read in pieces."""
    folder = made(tmp_path / "made", n_positions=700, n_embd=64, n_head=4, n_inner=96, n_layer=2, vocab_size=5001)
    types = {"F16": torch.float16, "BF16": torch.bfloat16}
    if kind in types:
        rewrite(folder, tensors=lambda tensors: {name: each.to(types[kind]) for name, each in tensors.items()})
    quantize: Quantize = "int4" if kind == "int4" else "int8" if kind == "int8" else "none"
    what, ids = checkpoint(folder), np.random.default_rng(1).integers(0, 256, 600).tolist()
    given = asked(what, quantize, [ids])
    assert [each["predicted"] for each in given["description"]["matrices"]].count(True) == (quantize != "none")
    next_ = "const engine = gptcliEngine(); await engine.start(given); return numbers(engine.next(given.texts[0]));"
    logits = native(what, quantize).prefill([ids], 700)[0, :256]
    assert floats(run(next_, given)) == pytest.approx(logits, abs=1e-3)


def test_what_a_page_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "made", vocab_size=256)
    monkeypatch.setattr(pack, "LARGEST", 4_000)
    with pytest.raises(InputError) as refused:
        pack.pack_model(checkpoint(folder), "int8")
    assert str(refused.value).endswith(
        " is too large for a page: its weights have 5.72 kB, and a page holds 4.00 kB "
        "(--quantize int4 makes it smaller)"
    )
    monkeypatch.setenv("GPTCLI_NATIVE", "0")
    with pytest.raises(InputError, match=r"^a page cannot run .*: the engine in C is switched off"):
        pack.pack_model(checkpoint(folder), "int8")
