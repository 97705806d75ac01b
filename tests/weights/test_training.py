"""The training program: prepare, train, export and evaluate, on a few kilobytes of text."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from typer.testing import CliRunner

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.tokenizer import gpt2_tokenizer
from weights.training.__main__ import app
from weights.training.checkpoint import metadata, model_of, stored_vocab
from weights.training.data import Stream, held_out_texts
from weights.training.deepen import deepen
from weights.training.evaluate import held_out_loss
from weights.training.new_tokens import apart, final_states, lift, widen
from weights.training.optimizer import orthogonalise
from weights.training.prepare import drawn, sha256, shared, word_runs
from weights.training.trainer import Plan, Trainer
from weights.training.vocabulary import compact_tokenizer, frequent_tokens, spell, token_counts
from weights.training.vocabulary import rows as vocabulary_rows

pytestmark = pytest.mark.slow
WHO = ["a cat", "the old king", "my brother", "a little girl", "the wolf", "a grey mouse"]
DID = ["found", "lost", "wanted to see", "was afraid of", "sang to", "sat down beside"]
WHAT = ["a red ball", "the deep river", "a golden ring", "the tall tower", "her friend", "the café"]


def story(seed: int) -> str:
    rng = random.Random(seed)
    lines = (f"{rng.choice(WHO)} {rng.choice(DID)} {rng.choice(WHAT)}." for _ in range(rng.randrange(4, 12)))
    return " ".join(line[0].upper() + line[1:] for line in lines)


def command(*args: object) -> str:
    result = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def train(data: Path, run: Path, *extra: object, steps: int) -> list[dict[str, float]]:
    shape = ("--layers", 2, "--width", 32, "--heads", 2, "--positions", 32)
    batch = ("--sequence", 16, "--batch", 8, "--micro", 4, "--warm-up", 2, "--dropout", 0.05)
    command("train", data, "--run", run, "--steps", steps, *shape, *batch, *extra)
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    stories = [story(seed) for seed in range(40)]
    (folder / "simple.txt").write_text("\n<|endoftext|>\n".join(stories), encoding="utf-8")
    near = stories[0] + " The end."  # nearly the first one, which is held out
    others = [story(seed) for seed in range(100, 120)]
    (folder / "other.txt").write_text("\n<|endoftext|>\n".join([near, *others]), encoding="utf-8")
    rows = [
        f"{name}\t{len(text.encode())}\t{sha256(text)}"
        for name, text in (("simple", stories[0]), ("simple", stories[1]), ("other", others[0]))
    ]
    (folder / "held_out.tsv").write_text("file\tbytes\tsha256\n" + "\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def data(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    command("prepare", corpus / "simple.txt", corpus / "other.txt", "--out", out,
            "--held-out", corpus / "held_out.tsv", "--min-count", 60, "--duplicate", 0.5)  # fmt: skip
    return out


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(data, folder, steps=40)
    return folder


@pytest.fixture(scope="module")
def exported(run: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    command("export", run, data, "--out", out)
    return out


def test_prepare_keeps_every_document_but_the_held_out_and_their_doubles(corpus: Path, data: Path) -> None:
    vocab = np.load(data / "vocab.npy")
    kept = {name: np.load(data / f"{name}.npy") for name in ("simple", "other")}
    texts = {
        name: gpt2_tokenizer().decode(int(vocab[i]) for i in ids).split("<|endoftext|>")[1:]
        for name, ids in kept.items()
    }
    assert texts["simple"] == [story(seed) for seed in range(2, 40)]
    assert texts["other"] == [story(seed) for seed in range(101, 120)]
    assert held_out_texts(data) == [story(0), story(1), story(100)]
    assert held_out_texts(data, "other") == [story(100)]


def test_prepare_without_a_table_draws_one_document_in_a_hundred() -> None:
    documents = {"a": [story(seed) for seed in range(150)], "b": [story(seed) for seed in range(150, 300)]}
    once = drawn(documents)
    assert len(once) == 3
    assert once == drawn({"all": documents["b"] + documents["a"]})  # whatever the order
    assert len(drawn({"a": [story(1)]})) == 1


def test_shared_runs_by_hand() -> None:
    held = word_runs("a b c d e f g h i j k l")  # runs that start with a, b and c
    assert len(held) == 3
    assert shared("x b c d e f g h i j K l y", held) == pytest.approx(2 / 4)  # of x.., b.., c.., d..
    assert shared("too short", held) == 0


def test_vocabulary_has_the_frequent_tokens_all_bytes_and_the_end(data: Path) -> None:
    vocab = set(np.load(data / "vocab.npy").tolist())
    tokenizer = gpt2_tokenizer()
    assert {*tokenizer.encode(" king"), 50256} <= vocab
    assert not {*tokenizer.encode(" elephant")} & vocab
    assert {bytes([value]) for value in range(256)} <= {tokenizer.token_bytes(token) for token in vocab}


@given(st.text())
def test_compact_encoding_loses_nothing(text: str) -> None:
    kept = frequent_tokens(token_counts({"a": ["the king and the queen and the king"]}), 2)
    tokenizer = compact_tokenizer(kept)
    ids = tokenizer.encode(text)
    assert set(ids) <= set(kept.tolist())
    assert tokenizer.decode(ids) == text


def test_spell_is_byte_pair_encoding() -> None:
    full = gpt2_tokenizer()
    ranks = {full.token_bytes(token): token for token in range(50256)}
    for word in (" elephants", "Rumpelstiltskin", " café", "    "):
        assert spell(word.encode(), ranks) == full._encoding._encode_single_piece(word.encode())


def test_stream_reads_each_file_as_often_as_the_mix_says() -> None:
    files = {"a": np.arange(0, 101, dtype=np.uint16), "b": np.arange(1000, 1201, dtype=np.uint16)}
    stream = Stream(files, {"a": 2, "b": 0.5}, sequence=10, seed=0)
    order = stream._order(0)
    assert abs(int((order[:, 0] == 0).sum()) - 20) <= 2
    assert abs(int((order[:, 0] == 1).sum()) - 10) <= 1
    sequences = stream.sequences(0)
    first = [next(sequences) for _ in range(2 * len(order))]
    assert all(len(ids) == 11 and (np.diff(ids) == 1).all() for ids in first)
    later = stream.sequences(len(order) + 3)  # inside the second epoch
    assert (next(later) == first[len(order) + 3]).all()
    assert not np.array_equal(order, stream._order(1))


def test_schedule_rises_stays_and_falls_to_zero() -> None:
    plan = Plan(steps=100, warm_up=10, decay=0.4)
    factors = [plan.schedule(step) for step in range(101)]
    assert factors[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert factors[10:61] == [1.0] * 51
    assert factors[60:] == pytest.approx([1 - i / 40 for i in range(41)])


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 64, 16), (2, 16, 64)])
def test_orthogonalise_brings_singular_values_near_one(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    y = orthogonalise(x)
    values = torch.linalg.svdvals(y)
    assert 0.3 < values.min() < values.max() < 1.3
    cosine = torch.nn.functional.cosine_similarity(y.flatten(1), (u @ vh).flatten(1))
    assert (cosine > 0.95).all()


def test_training_learns(run: Path) -> None:
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, 41))
    assert log[-1]["tokens"] == 40 * 8 * 16
    vocab = len(stored_vocab(run / "checkpoint.safetensors"))
    assert log[0]["loss"] == pytest.approx(math.log(vocab), abs=0.1)  # nothing is known at first
    assert log[-1]["loss"] < 0.7 * log[0]["loss"]


def test_dropout_takes_whole_channels_of_a_sequence() -> None:
    config = GPTConfig(vocab_size=50, n_positions=8, n_embd=64, n_layer=1, n_head=2)
    trainer = Trainer(config, Plan(1, dropout=0.25), np.arange(50, dtype=np.int32))
    seen: list[torch.Tensor] = []
    for part in (trainer.model.h[0].attn, trainer.model.h[0].mlp):
        part.register_forward_hook(lambda module, inputs, output: seen.append(output))  # type: ignore[union-attr]
    trainer.loss(torch.randint(50, (40, 9)))
    for output in seen:  # [40, 8, 64]
        gone = output == 0
        assert torch.equal(gone.all(dim=1), gone.any(dim=1))
        assert abs(gone[:, 0].float().mean().item() - 0.25) < 0.04  # 2,560 draws: 0.0086 is a standard deviation
    assert len(seen) == 2


def test_resumed_training_is_the_same_as_uninterrupted(data: Path, run: Path, tmp_path: Path) -> None:
    halves = tmp_path / "halves"

    class Interrupted(Exception):
        """Stands for a computer that is switched off."""

    original = Trainer.one_step

    def until_step_15(self: Trainer, *args: object) -> dict[str, float]:
        if self.step == 15:
            raise Interrupted
        return original(self, *args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "one_step", until_step_15)
        with pytest.raises(Interrupted):
            train(data, halves, "--minutes", 0, steps=40)
    assert metadata(halves / "checkpoint.safetensors")["step"] == 15
    with (halves / "log.jsonl").open("a") as log:
        log.write('{"step": 16, "loss": 99}\n')  # done, but not yet in a checkpoint
    resumed = train(data, halves, steps=40)
    whole = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [(x["step"], x["tokens"], x["loss"]) for x in resumed] == [
        (x["step"], x["tokens"], x["loss"]) for x in whole
    ]
    one, other = load_file(run / "checkpoint.safetensors"), load_file(halves / "checkpoint.safetensors")
    assert one.keys() == other.keys()
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, rtol=0, atol=0)


def test_export_opens_here_and_in_transformers_with_equal_logits(run: Path, exported: Path, data: Path) -> None:
    ours = open_checkpoint(str(exported), Placement(device="cpu", dtype="float32")).model
    theirs = transformers.GPT2LMHeadModel.from_pretrained(exported, dtype=torch.float32).eval()
    tokenizer = compact_tokenizer(np.load(data / "vocab.npy"))
    ids = torch.tensor([tokenizer.encode(story(1))[:32]])
    with torch.inference_mode():
        logits = ours(ids)
        torch.testing.assert_close(theirs(ids).logits, logits, rtol=0, atol=1e-4)
    weights, config, vocab = model_of(run / "checkpoint.safetensors")
    trained = GPT(config)
    trained.load_state_dict({**weights, "lm_head.weight": weights["wte.weight"]})
    with torch.inference_mode():
        compact = trained(torch.from_numpy(vocabulary_rows(vocab)[ids.numpy()]))
    torch.testing.assert_close(logits[..., torch.from_numpy(vocab)], compact, rtol=0, atol=5e-3)  # float16 is coarser


def test_untrained_tokens_get_their_share_and_unseen_ones_next_to_nothing(exported: Path, data: Path) -> None:
    model = open_checkpoint(str(exported), Placement(device="cpu", dtype="float32")).model
    vocab, counts = np.load(data / "vocab.npy"), np.load(data / "counts.npy")
    tokenizer = compact_tokenizer(vocab)
    with torch.inference_mode():
        texts = [torch.tensor([[50256, *tokenizer.encode(text)][:32]]) for text in held_out_texts(data)]
        given = torch.cat([model(ids).softmax(dim=-1)[0] for ids in texts]).mean(dim=0).numpy()
    untrained = np.ones(50257, bool)
    untrained[vocab] = False
    seen, unseen = untrained & (counts > 0), untrained & (counts == 0)
    assert seen.any()
    assert given[seen].sum() == pytest.approx(counts[seen].sum() / counts.sum(), rel=0.25)
    assert 1e-4 < given[unseen].sum() < 2e-3  # 5e-4 is aimed at


@torch.no_grad()
def test_lifted_weights_say_nearly_the_same_and_need_shorter_rows(run: Path, data: Path) -> None:
    weights, config, vocab = model_of(run / "checkpoint.safetensors")
    texts = held_out_texts(data)
    before = final_states(weights, config, vocab, texts)
    direction = apart(before)
    height = 3 * float((before @ direction).mean())
    lifted = lift(weights, config, vocab, texts, height)
    after = final_states(lifted, config, vocab, texts)
    assert float((after @ direction).mean()) == pytest.approx(height, rel=0.2)  # rows are read too, so states change
    assert lift(lifted, config, vocab, texts, height) is lifted
    odds, others = ((s @ w["wte.weight"].T).log_softmax(-1) for s, w in ((before, weights), (after, lifted)))
    assert float((odds.exp() * (odds - others)).sum(dim=-1).mean()) < 0.1
    everything = np.arange(50257, dtype=np.int32)
    missing = vocabulary_rows(vocab) < 0
    rows = [widen(w, config, vocab, everything, texts)[missing] for w in (weights, lifted)]
    assert rows[1].norm(dim=1).mean() < 0.7 * rows[0].norm(dim=1).mean()


def test_starting_from_another_vocabulary_keeps_the_old_rows(
    corpus: Path, run: Path, data: Path, tmp_path: Path
) -> None:
    wide = tmp_path / "wide"
    command("prepare", corpus / "simple.txt", "--out", wide, "--held-out", corpus / "held_out.tsv", "--min-count", 1,
            "--duplicate", 0.5)  # fmt: skip
    train(wide, tmp_path / "next", "--start", run / "checkpoint.safetensors", "--rate", 0, "--matrix-rate", 0, steps=1)
    old, new = (load_file(folder / "checkpoint.safetensors") for folder in (run, tmp_path / "next"))
    assert len(new["vocab"]) > len(old["vocab"])
    place = {int(token): row for row, token in enumerate(new["vocab"])}
    rows = [place[int(token)] for token in old["vocab"] if int(token) in place]
    kept = [row for row, token in enumerate(old["vocab"]) if int(token) in place]
    assert torch.equal(new["model.wte.weight"][rows], old["model.wte.weight"][kept])
    assert torch.equal(new["model.h.1.mlp.c_fc.weight"], old["model.h.1.mlp.c_fc.weight"])


def test_evaluate_reports_bits_a_byte_of_both_kinds_and_tokenizations(exported: Path, data: Path) -> None:
    lines = command("evaluate", exported, data, "--simple", "simple").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["compact", "simple"], ["compact", "other"], ["full", "simple"], ["full", "other"]
    ]  # fmt: skip
    assert all(0.1 < float(line.split()[2]) < 6 for line in lines)


def test_held_out_loss_counts_each_token_once(exported: Path) -> None:
    model = open_checkpoint(str(exported), Placement(device="cpu", dtype="float32")).model
    text = " ".join(story(seed) for seed in range(4))
    ids = [50256, *gpt2_tokenizer().encode(text)]
    length, half = 32, 16
    assert len(ids) > 3 * length
    total = 0.0
    with torch.inference_mode():
        for i in range(1, len(ids)):  # each token from the longest context that its window gives it
            start = 0 if i <= length else (i - 1 - half) // half * half
            logprobs = model(torch.tensor([ids[start:i]]))[0, -1].log_softmax(dim=0)
            total -= logprobs[ids[i]].item()
    bits, nats = held_out_loss(model, gpt2_tokenizer(), [text])
    assert nats == pytest.approx(total / (len(ids) - 1), rel=1e-5)
    assert bits == pytest.approx(total / math.log(2) / len(text.encode()), rel=1e-5)


@pytest.mark.parametrize("layers", [3, 4])
def test_a_deeper_start_says_at_first_what_it_said_before(
    exported: Path, data: Path, tmp_path: Path, layers: int
) -> None:
    frozen = ("--rate", 0, "--matrix-rate", 0, "--layers", layers)
    train(data, tmp_path / "next", "--start", exported, *frozen, steps=1)
    weights, config, vocab = model_of(tmp_path / "next" / "checkpoint.safetensors")
    deeper, before = GPT(config), open_checkpoint(str(exported), Placement("cpu", "float32")).model
    deeper.load_state_dict(weights, strict=False)  # the unembedding is the embedding
    places = torch.randint(len(vocab), (2, 16))
    ids = torch.from_numpy(vocab.astype(np.int64))[places]
    assert config.n_layer == layers
    with torch.inference_mode():
        torch.testing.assert_close(deeper(places), before(ids)[..., vocab], atol=1e-5, rtol=0)


def test_an_added_block_is_a_copy_that_writes_nothing() -> None:
    torch.manual_seed(0)
    names = ("attn.c_attn.weight", "attn.c_proj.weight", "attn.c_proj.bias", "mlp.c_fc.weight", "mlp.c_proj.weight")
    before = {f"h.{layer}.{name}": torch.randn(3, 3) for layer in range(4) for name in names}
    deeper = deepen({**before, "ln_f.bias": torch.ones(3)}, 4, 6)
    origin, added = [0, 1, 1, 2, 2, 3], {2, 4}  # the middle two are doubled
    for place, layer in enumerate(origin):
        for name in names:
            expected = before[f"h.{layer}.{name}"] * (0 if place in added and "c_proj" in name else 1)
            assert torch.equal(deeper.pop(f"h.{place}.{name}"), expected)
    assert torch.equal(deeper.pop("ln_f.bias"), torch.ones(3))
    assert not deeper


def test_a_start_cannot_lose_layers_or_have_more_than_twice_as_many(exported: Path, data: Path, tmp_path: Path) -> None:
    for layers in (1, 5):
        args = ("train", data, "--run", tmp_path / "next", "--steps", 1, "--start", exported, "--layers", layers)
        result = CliRunner().invoke(app, [*map(str, args), "--width", "32", "--heads", "2", "--positions", "32"])
        assert result.exit_code == 2
        assert "a start of 2 layers can get 2 to 4" in " ".join(result.output.split())


@pytest.mark.parametrize(("option", "value", "has"), [("--width", 64, 32), ("--heads", 4, 2), ("--positions", 16, 32)])
def test_a_start_or_a_run_of_another_shape_is_refused(
    exported: Path, data: Path, tmp_path: Path, option: str, value: int, has: int
) -> None:
    """Other heads would fit the same matrices, and train something else without a word."""
    shape = {"--layers": 2, "--width": 32, "--heads": 2, "--positions": 32, option: value}
    args = (
        "train",
        data,
        "--run",
        tmp_path / "run",
        "--sequence",
        16,
        *(word for pair in shape.items() for word in pair),
    )
    first = CliRunner().invoke(app, [str(arg) for arg in (*args, "--steps", 1, "--start", exported)])
    train(data, tmp_path / "run", steps=1)
    again = CliRunner().invoke(app, [str(arg) for arg in (*args, "--steps", 2)])
    for result, whose in ((first, "start"), (again, "run")):
        assert result.exit_code == 2
        assert f"{option} {value}: the {whose} has {has}" in " ".join(result.output.split())


def test_starting_from_an_exported_folder_goes_on_with_its_weights(exported: Path, data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "next", "--start", exported, "--rate", 0, "--matrix-rate", 0, steps=1)
    shipped, begun = load_file(exported / "model.safetensors"), load_file(tmp_path / "next" / "checkpoint.safetensors")
    rows = torch.from_numpy(np.load(data / "vocab.npy")).long()
    assert torch.equal(begun["model.wte.weight"], shipped["wte.weight"][rows].float())
    assert torch.equal(begun["model.h.1.mlp.c_fc.weight"], shipped["h.1.mlp.c_fc.weight"].t().float())
