"""A broken number is found wherever it lies and however the tensor does: in C, in torch without C, and by extremes."""

import pytest
import torch

from gptcli.checkpoint.weights import finite
from gptcli.checkpoint.weights.finite import all_finite


@pytest.fixture(params=["as built", "without C"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without C":
        monkeypatch.setattr(finite, "library", lambda: None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_broken_number_is_found_anywhere(dtype: torch.dtype, value: float) -> None:
    clean = torch.linspace(-1, 1, 600_000).to(dtype).view(1000, 600)
    clean[0, :2] = torch.tensor([torch.finfo(dtype).max, -torch.finfo(dtype).max], dtype=dtype)
    lying = {
        "whole": lambda tensor: tensor,
        "turned": lambda tensor: tensor.t(),
        "cut": lambda tensor: tensor[:, 1:],
        "flat": lambda tensor: tensor.view(-1),
    }
    assert all(all_finite(view(clean)) for view in lying.values())
    for place in ((0, 1), (437, 300), (999, 599)):
        broken = clean.clone()
        broken[place] = value
        assert not any(all_finite(view(broken)) for view in lying.values())


def test_nothing_is_finite() -> None:
    assert all_finite(torch.empty(0))
    assert all_finite(torch.empty(0, 5).t())
    assert not all_finite(torch.tensor(float("nan")))
