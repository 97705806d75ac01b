"""``compare``: KL divergence and totals next to transformers in float64, weights next to numbers that are known."""

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPTNeoXConfig

import gptcli
from gptcli.checkpoint.families.own import config_json
from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.errors import InputError
from gptcli.measuring import compare_weights
from gptcli.measuring.compare import Comparison, compare, two_names
from gptcli.measuring.compare_text import kl_divergence
from gptcli.measuring.compare_weights import to_bfloat16
from gptcli.probability.scoring import score
from tests.checkpoint.zoo import open_folder, reference
from tests.made import made

TEXT = "the king and the queen sat in the tall tower, once upon a time"
SHAPE = {"vocab_size": 280, "n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2}


def tokenizer(size: int = 280) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator([TEXT] * 9, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet))
    return made


def saved(folder: Path, seed: int, **shape: Any) -> Any:
    config = GPT2Config(**SHAPE | shape)
    theirs = reference(config, seed)
    theirs.save_pretrained(folder)
    tokenizer(config.vocab_size).save(str(folder / "tokenizer.json"))
    return theirs


class Pair:
    """Two models of transformers, saved, and their comparison over a text that is longer than the context."""

    def __init__(self, folder: Path) -> None:
        self.a, self.b = str(folder / "a"), str(folder / "b")
        self.models = [saved(folder / "a", 1), saved(folder / "b", 2)]
        self.ids = tokenizer().encode(TEXT).ids
        self.compared = compare(self.a, self.b, TEXT, device="cpu")

    def logits(self, side: int) -> NDArray[np.float64]:
        """What transformers says before each token but the first, in windows of 8 that move by 4; in float64."""
        model = self.models[side].double()
        rows: dict[int, NDArray[np.float64]] = {}
        for start in range(0, len(self.ids), 4):
            window = self.ids[start : start + 8]
            with torch.inference_mode():
                said = model(torch.tensor([window])).logits[0].numpy()
            for place, row in enumerate(said[: len(window) - 1], start=start + 1):
                rows.setdefault(place, row)
        return np.stack([rows[place] for place in range(1, len(self.ids))])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("pair"))


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


def test_text_is_compared_as_transformers_logits_say(pair: Pair) -> None:
    text, n = pair.compared.text, len(pair.ids) - 1
    assert text is not None
    assert n > 3 * 8
    log_a, log_b = log_softmax(pair.logits(0)), log_softmax(pair.logits(1))
    kl = (np.exp(log_a) * (log_a - log_b)).sum(1)
    assert [token.kl for token in text.tokens] == pytest.approx(kl, rel=1e-4, abs=1e-6)
    assert kl.max() > 1  # the models differ
    taken = np.arange(n), np.array(pair.ids[1:])
    for logs, side in ((log_a, "a"), (log_b, "b")):
        said = [getattr(token, side) for token in text.tokens]
        assert [one.surprisal_bits for one in said] == pytest.approx(-logs[taken] / math.log(2), rel=1e-4, abs=1e-5)
        assert [one.best.id for one in said] == logs.argmax(1).tolist()
        assert [one.best.probability for one in said] == pytest.approx(np.exp(logs.max(1)), rel=1e-4)
        assert [one.rank for one in said] == ((logs > logs[taken][:, None]).sum(1) + 1).tolist()
        total = getattr(text, side)
        assert total.logprob == pytest.approx(logs[taken].sum(), rel=1e-5)
        assert total.perplexity == pytest.approx(np.exp(-logs[taken].mean()), rel=1e-4)
        n_bytes = len(TEXT) - len(tokenizer().decode(pair.ids[:1]))
        assert total.bits_per_byte == pytest.approx(-logs[taken].sum() / math.log(2) / n_bytes, rel=1e-5)
    assert [token.position for token in text.tokens] == list(range(2, n + 2))
    assert b"".join(token.token for token in text.tokens).decode() == TEXT.removeprefix("the")


def test_totals_are_those_of_llama_cpp(pair: Pair) -> None:
    """Its formulas, over the distributions of transformers."""
    found = pair.compared.text.divergence  # type: ignore[union-attr]
    assert found is not None
    log_a, log_b = log_softmax(pair.logits(0)), log_softmax(pair.logits(1))
    n = len(log_a)
    kl = np.sort((np.exp(log_a) * (log_a - log_b)).sum(1))
    taken = np.arange(n), np.array(pair.ids[1:])
    change, gain = log_b[taken] - log_a[taken], np.exp(log_b[taken]) - np.exp(log_a[taken])

    def error(values: NDArray[np.float64]) -> float:
        return math.sqrt(((values**2).mean() - values.mean() ** 2) / (n - 1))

    def percentile(fraction: float) -> float:
        place = fraction * (n - 1)
        low, rest = int(place), place - int(place)
        return float((1 - rest) * kl[low] + rest * kl[min(low + 1, n - 1)])

    close: dict[str, Any] = {"rel": 1e-3, "abs": 1e-6}
    assert found.mean_kl == pytest.approx(kl.mean(), **close)
    assert found.mean_kl_error == pytest.approx(error(kl), **close)
    assert found.largest_kl == pytest.approx(kl[-1], **close)
    for name, value in found.kl_percentiles.items():
        assert value == pytest.approx(percentile(float(name) / 100), **close)
    assert list(found.kl_percentiles) == ["50", "90", "95", "99", "99.9"]
    assert found.same_best == (log_a.argmax(1) == log_b.argmax(1)).mean()
    assert found.mean_logprob_difference == pytest.approx(change.mean(), **close)
    assert found.mean_logprob_difference_error == pytest.approx(error(change), **close)
    assert found.mean_probability_difference == pytest.approx(gain.mean(), **close)
    assert found.rms_probability_difference == pytest.approx(math.sqrt((gain**2).mean()), **close)
    assert (found.largest_loss, found.largest_gain) == pytest.approx((gain.min(), gain.max()), **close)


def test_divergence_by_hand() -> None:
    half, quarter = math.log(0.5), math.log(0.25)
    assert kl_divergence(np.array([half, half]), np.array([quarter, math.log(0.75)])) == pytest.approx(
        0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    )
    nothing = -np.inf
    assert kl_divergence(np.array([0.0, nothing]), np.array([half, half])) == pytest.approx(math.log(2))
    assert kl_divergence(np.array([half, half]), np.array([0.0, nothing])) == math.inf
    assert kl_divergence(np.array([1e4, 0.0, nothing]), np.array([1e4, 0.0, nothing])) == 0


def test_bos_gives_the_first_token_a_probability(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        saved(tmp_path / name, seed)
        (tmp_path / name / "tokenizer_config.json").write_text('{"eos_token": "a"}')
    compared = compare(str(tmp_path / "a"), str(tmp_path / "b"), "the king", bos=True, weights=False)
    assert compared.text is not None
    assert [token.position for token in compared.text.tokens] == list(
        range(1, len(tokenizer().encode("the king").ids) + 1)
    )
    assert compared.text.tokens[0].token == b"the"


def test_other_vocabularies_leave_the_totals(pair: Pair, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    saved(Path(other), 3, vocab_size=270)
    compared = compare(pair.a, other, TEXT, weights=False)
    assert compared.text is not None
    assert (compared.text.tokens, compared.text.divergence) == ((), None)
    assert compared.notes == (
        "the vocabularies have 280 and 270 tokens: only totals can be compared, and of these bits per byte "
        "(--bos counts the first token too)",
    )
    for name, total in ((pair.a, compared.text.a), (other, compared.text.b)):
        scored = score(open_checkpoint(name, inside=False), TEXT)
        assert (total.bits_per_byte, total.tokens) == (scored.bits_per_byte, scored.scored)


def test_one_token_of_another_text_is_another_vocabulary(pair: Pair, tmp_path: Path) -> None:
    saved(tmp_path, 1)
    file = tmp_path / "tokenizer.json"
    told = json.loads(file.read_text())
    vocab = told["model"]["vocab"]
    vocab["A"], vocab["B"] = vocab["B"], vocab["A"]
    file.write_text(json.dumps(told))
    (note,) = compare(pair.a, str(tmp_path), f"A {TEXT}", weights=False).notes
    assert note.startswith(f"the vocabularies differ, first at id {min(vocab['A'], vocab['B'])}: only totals")


@pytest.mark.parametrize("added", [3, 0], ids=["after the others", "in place of some"])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_fine_tune_with_tokens_of_its_own(added: int, swapped: bool, pair: Pair, tmp_path: Path) -> None:
    """Divergence is over the tokens of both; next to it stands what each gives to the others."""
    theirs = saved(tmp_path, 2, vocab_size=280 + added)
    own = [280, 281, 282] if added else [90, 91]
    file = tmp_path / "tokenizer.json"
    told = json.loads(tokenizer().to_str())
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    if added:
        told["added_tokens"] = [{"id": number, "content": f"<|{number}|>", **special} for number in own]
    else:  # two tokens that the text does not use have other names
        names = {number: token for token, number in told["model"]["vocab"].items()}
        assert not {*own} & {*pair.ids}
        told["model"]["vocab"] = {
            names[own[0]] if number == own[1] else names[own[1]] if number == own[0] else token: number
            for token, number in told["model"]["vocab"].items()
        }
    file.write_text(json.dumps(told))
    names_ = (str(tmp_path), pair.a) if swapped else (pair.a, str(tmp_path))
    compared = compare(*names_, TEXT, weights=False, device="cpu")
    assert compared.notes == ()
    assert compared.text is not None
    found = compared.text.divergence
    assert found is not None
    models = [theirs, pair.models[0]] if swapped else [pair.models[0], theirs]
    logits = []
    for model in models:
        held, pair.models[0] = pair.models[0], model
        logits.append(pair.logits(0))
        pair.models[0] = held
    shared = [number for number in range(280) if added or number not in own]
    log_a, log_b = (log_softmax(each[:, shared]) for each in logits)
    kl = (np.exp(log_a) * (log_a - log_b)).sum(1)
    assert [token.kl for token in compared.text.tokens] == pytest.approx(kl, rel=1e-4, abs=1e-6)
    assert found.mean_kl == pytest.approx(kl.mean(), rel=1e-4)
    assert found.shared_vocabulary == len(shared)
    for each, rest, side in zip(logits, (found.unshared_a, found.unshared_b), "ab", strict=True):
        shares = np.exp(log_softmax(each))
        assert rest == pytest.approx((1 - shares[:, shared].sum(1)).mean(), rel=1e-4, abs=1e-9)
        assert (rest > 1e-4) == (each.shape[1] > len(shared))
        taken = np.log2(shares[np.arange(len(shares)), pair.ids[1:]])
        said = [getattr(token, side).surprisal_bits for token in compared.text.tokens]
        assert said == pytest.approx(-taken, rel=1e-4)  # of all of its tokens


def test_the_same_vocabulary_is_shared_whole(pair: Pair) -> None:
    found = pair.compared.text.divergence  # type: ignore[union-attr]
    assert found is not None
    assert (found.shared_vocabulary, found.unshared_a, found.unshared_b) == (280, 0, 0)


def changed(folder: Path, source: str, **tensors: torch.Tensor) -> str:
    """A copy of a checkpoint with other tensors."""
    folder.mkdir()
    for file in Path(source).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    kept = load_file(folder / "model.safetensors")
    save_file({**kept, **tensors}, folder / "model.safetensors")
    return str(folder)


@pytest.mark.parametrize("block", [None, 24])
def test_weights_that_were_changed(
    block: int | None, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if block is not None:
        monkeypatch.setattr(compare_weights, "_BLOCK", block)
    key = "transformer.h.1.mlp.c_fc.weight"  # stored as [in, out] = [8, 32]
    weight = load_file(Path(pair.a) / "model.safetensors")[key]
    other = weight.clone()
    other[3, 5] += 2.0
    other[7, 31] -= 0.5
    found = compare(pair.a, changed(tmp_path / "c", pair.a, **{key: other})).weights
    assert found is not None
    (one,) = (tensor for tensor in found.tensors if not tensor.equal)
    assert (one.name, one.shape_a, one.shape_b, one.differing) == ("h.1.mlp.c_fc.weight", (32, 8), (32, 8), 2)
    assert one.largest == pytest.approx(2.0, rel=1e-6)
    assert one.mean == pytest.approx(2.5 / 256, rel=1e-6)
    assert one.relative == pytest.approx(math.sqrt(4.25) / float(weight.double().norm()), rel=1e-6)
    assert (found.equal, found.differing) == (len(found.tensors) - 1, 2)
    assert found.numbers == sum(tensor.numel() for tensor in load_file(Path(pair.a) / "model.safetensors").values())


def test_weights_are_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files of 8 MB, in blocks of 40 kB: what is in memory at a time is some blocks, not a file."""
    monkeypatch.setattr(compare_weights, "_BLOCK", 10_000)
    shape = {"vocab_size": 4_000, "n_embd": 256, "n_inner": 1_024}
    one, two = (str(made(tmp_path / name, **shape, larger={"wte.weight": size})) for name, size in (("a", 1), ("b", 2)))
    compare(one, two)  # imports
    tracemalloc.start()
    found = compare(one, two).weights
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert (found.differing, found.numbers > 1_800_000) == (4_000 * 256, True)
    assert peak < 1_500_000


def test_progress_counts_every_number(pair: Pair) -> None:
    whats, seen = [], []

    class Watch:
        def __init__(self, what: str) -> None:
            whats.append(what)

        def __enter__(self) -> Any:
            return lambda done, total: seen.append((done, total))

        def __exit__(self, *args: object) -> None: ...

    found = compare(pair.a, pair.b, "the king", watch=Watch)
    assert found.weights is not None
    assert whats == ["comparing weights", "reading"]
    assert (found.weights.numbers,) * 2 in seen
    assert seen[-1][0] == seen[-1][1] == len(tokenizer().encode("the king").ids)


def test_layout_of_the_files_does_not_count(tmp_path: Path) -> None:
    """The same model as transformers saves GPT-NeoX (q, k, v of each head), and in gptcli's own format."""
    config = GPTNeoXConfig(
        vocab_size=11, max_position_embeddings=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=12,
    )  # fmt: skip
    reference(config).save_pretrained(tmp_path / "theirs")
    blueprint, ours = open_folder(tmp_path / "theirs")
    (tmp_path / "ours").mkdir()
    weights = {name: weight.contiguous() for name, weight in ours.state_dict().items()}
    save_file(weights, tmp_path / "ours" / "model.safetensors")
    (tmp_path / "ours" / "config.json").write_text(json.dumps(config_json(blueprint.config)))
    compared = compare(str(tmp_path / "theirs"), str(tmp_path / "ours"))
    assert compared.weights is not None
    assert compared.fields == ()
    assert compared.weights.equal == len(compared.weights.tensors) == len(weights)
    assert (compared.a.family, compared.b.family) == ("gpt_neox", "gptcli")


def test_other_shapes_are_told(pair: Pair, tmp_path: Path) -> None:
    saved(tmp_path, 3, n_layer=1, n_positions=6, tie_word_embeddings=False)
    compared = compare(pair.a, str(tmp_path))
    assert {field.name: (field.a, field.b) for field in compared.fields} == {
        "n_positions": (8, 6),
        "n_layer": (2, 1),
        "tied": (True, False),
    }
    assert compared.weights is not None
    tensors = {tensor.name: tensor for tensor in compared.weights.tensors}
    assert (tensors["wpe.weight"].shape_a, tensors["wpe.weight"].shape_b) == ((8, 8), (6, 8))
    assert tensors["h.1.ln_1.weight"].shape_b is None
    assert tensors["wpe.weight"].differing is tensors["h.1.ln_1.weight"].differing is None
    head = tensors["lm_head.weight"]  # A's is its embedding
    embedding = load_file(Path(pair.a) / "model.safetensors")["transformer.wte.weight"].double()
    other = load_file(tmp_path / "model.safetensors")["lm_head.weight"].double()
    assert head.relative == pytest.approx(float((other - embedding).norm() / embedding.norm()), rel=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precisions_are_torchs(dtype: str, pair: Pair) -> None:
    found = compare(pair.a, f":{dtype}").weights
    stored = load_file(Path(pair.a) / "model.safetensors")
    apart = {key: (weight.to(getattr(torch, dtype)).double() - weight).abs() for key, weight in stored.items()}
    assert found is not None
    assert found.differing == sum(int((each != 0).sum()) for each in apart.values())
    assert found.largest == max(float(each.max()) for each in apart.values())


def test_rounding_to_bfloat16_is_to_even() -> None:
    bits = np.random.default_rng(0).integers(0, 2**31, 20_000, np.uint32)
    bits[::4] = (bits[::4] & np.uint32(0xFFFF0000)) | np.uint32(0x8000)  # exactly between two
    numbers = bits.view(np.float32)
    numbers = numbers[np.abs(numbers) < 1e38]
    assert (to_bfloat16(numbers) == torch.from_numpy(numbers).bfloat16().float().numpy()).all()


def test_eight_bits_by_hand(pair: Pair) -> None:
    """Symmetric, with one scale a row: the largest number of a row becomes 127."""
    found = compare(pair.a, f"{pair.a}:int8").weights
    assert found is not None
    weight = load_file(Path(pair.a) / "model.safetensors")["transformer.h.0.mlp.c_fc.weight"].T.double()
    scale = weight.abs().amax(1, keepdim=True) / 127
    apart = ((weight / scale).round() * scale - weight).abs()
    one = next(tensor for tensor in found.tensors if tensor.name == "h.0.mlp.c_fc.weight")
    assert one.largest == pytest.approx(float(apart.max()), rel=1e-4)
    assert one.mean == pytest.approx(float(apart.mean()), rel=1e-4)
    assert next(tensor for tensor in found.tensors if tensor.name == "h.0.ln_1.weight").equal


@pytest.mark.parametrize(
    ("a", "b", "names", "placements"),
    [
        ("tales", "gpt2", ("tales", "gpt2"), (Placement(), Placement())),
        ("tales", "tales:int4", ("tales", "tales"), (Placement(), Placement(quantize="int4"))),
        ("tales", ":int8", ("tales", "tales"), (Placement(), Placement(quantize="int8"))),
        (":float16", "o/x:bfloat16", ("o/x", "o/x"), (Placement(dtype="float16"), Placement(dtype="bfloat16"))),
        ("owner/x:main", "gpt2:float32", ("owner/x:main", "gpt2"), (Placement(), Placement(dtype="float32"))),
    ],
)  # fmt: skip
def test_names(a: str, b: str, names: tuple[str, str], placements: tuple[Placement, Placement]) -> None:
    (name_a, place_a), (name_b, place_b) = two_names(a, b)
    assert (name_a, name_b) == names
    assert (place_a, place_b) == placements


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("tales", "tales", "A and B are both tales: give another model"),
        ("tales:int4", ":int4", "A and B are both tales:int4"),
        (":int4", ":int8", "there is no model to compare"),
        ("tales", ":int7", "':int7' is no precision: float32, bfloat16, float16, int8, int4"),
    ],
)
def test_names_that_leave_nothing_to_compare(a: str, b: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        two_names(a, b)
    assert said in str(caught.value)


def test_a_folder_may_have_a_precision_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "x:int4").mkdir()
    assert two_names(str(tmp_path / "x:int4"), "tales")[0] == (str(tmp_path / "x:int4"), Placement())


def test_from_python(pair: Pair) -> None:
    found = gptcli.compare(pair.a, pair.b, TEXT, weights=False, device="cpu")
    assert isinstance(found, Comparison)
    assert found.text == pair.compared.text
    assert found.weights is None
