"""What a page of ``explore`` holds: compared with the commands' own numbers, and with PyTorch."""

import numpy as np
import pytest

from gptcli.checkpoint.open import OpenCheckpoint, open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.errors import InputError
from gptcli.inspection.attention import attention
from gptcli.inspection.explored import MOST_WEIGHTS, _ends, binned, explored
from gptcli.inspection.lens import lens
from gptcli.model.engine import Quantize
from gptcli.model.native import available
from gptcli.probability.scoring import score
from gptcli.sampling.softmax import softmax
from tests.tales import HEADS, LAYERS

TEXT = "The king and the queen"


@pytest.fixture(scope="module")
def tales() -> OpenCheckpoint:
    return open_checkpoint("tales", inside=False)


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="no engine in C")
def test_the_engine_in_c_and_torch_agree(tales: OpenCheckpoint) -> None:
    """Attention and lens of the C engine are those of the commands, which run PyTorch; logits are the engine's own."""
    seen = explored(tales, TEXT)
    assert seen.pattern == pytest.approx(np.asarray(attention(tales, TEXT, layers="all")), abs=1e-5)
    stages = lens(tales, TEXT)[0].stages
    assert seen.guesses[..., 0].tolist() == [[guess.id for guess in stage.guesses] for stage in stages]
    shares = [[guess.probability for guess in stage.guesses] for stage in stages]
    assert seen.shares[..., 0] == pytest.approx(np.array(shares), rel=1e-4)
    surprisal = [token.surprisal_bits for token in score(tales, TEXT).tokens]
    assert [came.surprisal_bits for came in seen.came if came] == pytest.approx(surprisal[1:], rel=1e-6)
    assert seen.came[-1] is None
    torch = explored(open_checkpoint("tales", inside=True), TEXT)
    assert torch.guesses[..., :2].tolist() == seen.guesses[..., :2].tolist()
    assert torch.shares == pytest.approx(seen.shares, rel=1e-4)
    assert torch.pattern == pytest.approx(seen.pattern, abs=1e-5)
    assert torch.expected[-1].logits == pytest.approx(seen.expected[-1].logits, abs=1e-4)


def test_bins_keep_the_sum_at_any_temperature() -> None:
    """A narrow bin with two entries: the sum of exp(logit / T), whatever T is."""
    logits = np.sort(np.random.default_rng(1).normal(0, 3, 20_000))[::-1]
    bins = binned(logits)
    assert bins[:, 0].sum() == pytest.approx(len(logits), rel=1e-12)
    for temperature, rel in ((0.05, 1e-2), (0.25, 2e-6), (0.5, 1e-7), (1.0, 1e-8), (5.0, 1e-9)):
        weights = np.exp((logits - logits[0]) / temperature)
        assert bins[:, 0] @ np.exp((bins[:, 1] - logits[0]) / temperature) == pytest.approx(weights.sum(), rel=rel)
    assert binned(logits[:1]).tolist() == [[0.5, logits[0]]] * 2
    assert binned(logits[:0]).shape == (0, 2)


def test_listed_logits_and_bins_are_the_whole_vocabulary(tales: OpenCheckpoint) -> None:
    seen = explored(tales, "The king")
    whole = tales.another_engine().prefill([seen.ids], 2)[0, : tales.n_vocab]
    expected = seen.expected[-1]
    assert expected.logits == pytest.approx(np.sort(whole)[::-1][: len(expected.logits)], abs=1e-4)
    assert len(expected.logits) + expected.rest[:, 0].sum() == tales.n_vocab
    assert np.exp(expected.logits[0] - expected.log_sum) == pytest.approx(softmax(whole).max(), rel=1e-5)


def test_where_tokens_end_counts_as_javascript_does() -> None:
    assert _ends([b"a", b" \xf0\x9f", b"\x98\x80", b"b"], "a \U0001f600b") == [1, None, 4, 5]
    assert _ends([b"<s>", b"a"], "a") == [None, None]


def test_a_text_too_long_for_a_page_is_refused(tales: OpenCheckpoint) -> None:
    most = int((MOST_WEIGHTS / (LAYERS * HEADS)) ** 0.5)
    with pytest.raises(InputError, match=f"too many for a page: .*--truncate {most} "):
        explored(tales, " a" * (most + 1))


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="no engine in C")
@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_a_quantized_model_looks_nearly_where_the_whole_one_does(tales: OpenCheckpoint, quantize: Quantize) -> None:
    """Keys are kept in half precision there; PyTorch with the same rounded weights says the same."""
    seen = explored(open_checkpoint("tales", Placement("cpu", quantize=quantize), inside=False), TEXT)
    torch = explored(open_checkpoint("tales", Placement("cpu", quantize=quantize), inside=True), TEXT)
    assert seen.pattern == pytest.approx(torch.pattern, abs=0.03)
    assert seen.pattern == pytest.approx(explored(tales, TEXT).pattern, abs=0.1)
