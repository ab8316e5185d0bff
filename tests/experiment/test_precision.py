"""The step in a wider format: what is widened, and that nothing stays so."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from evenkeel.experiment.precision import in_float32, in_float64


def test_half_becomes_single_in_forward_and_backward() -> None:
    """Parameters stay what they are; what they are used for is wide, and so is what overflowed."""
    layer = nn.Linear(4, 1, bias=False).half()
    with torch.no_grad():
        layer.weight.fill_(300.0)
    x = torch.full((2, 4), 300.0, dtype=torch.float16)
    assert layer(x).isinf().all()
    change = in_float32()
    assert not change.took_effect
    with change.during():
        y = layer(x)
        assert y.dtype == torch.float32
        (y / 1e6).sum().backward()
    assert y.tolist() == [[360000.0], [360000.0]]
    assert layer.weight.dtype == torch.float16
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float16
    assert change.took_effect
    assert layer(x).dtype == torch.float16


def test_requests_for_half_are_wide_too() -> None:
    """By method, by dtype, at the making of a tensor."""
    x = torch.ones(2, requires_grad=True)
    with in_float32().during():
        made: list[Tensor] = [x.half(), x.bfloat16(), x.to(torch.float16), x.to(dtype=torch.bfloat16)]
        made.append(torch.zeros(2, dtype=torch.float16))
    assert {t.dtype for t in made} == {torch.float32}


def test_single_is_wide_enough_for_float32_only() -> None:
    """float32 is left alone by the one and widened by the other."""
    x = torch.full((1,), 100.0, requires_grad=True)
    single, double = in_float32(), in_float64()
    with single.during():
        assert torch.exp(x).isinf()
    with double.during():
        assert torch.exp(x).isfinite()
    assert (single.took_effect, double.took_effect) == (False, True)


def test_what_is_written_in_place_stays() -> None:
    """Buffers and statistics keep their format and get their values."""
    norm = nn.BatchNorm1d(3)
    with in_float64().during():
        norm(torch.randn(5, 3)).sum().backward()
    assert norm.running_mean is not None
    assert norm.running_mean.dtype == torch.float32
    assert norm.running_mean.abs().sum() > 0


def test_without_gradients_nothing_is_widened() -> None:
    """An update is made in the formats that it is made in."""
    with in_float64().during(), torch.no_grad():
        assert (torch.ones(2) * 2).dtype == torch.float32


@pytest.mark.parametrize("before", ["open", "closed"])
def test_autocast_is_off_and_comes_back(before: str) -> None:
    """Regions opened before, and meanwhile; each leaves behind what it found."""
    layer, x, is_open = nn.Linear(2, 2), torch.ones(1, 2), before == "open"
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_open):
        change = in_float32()
        with change.during():
            assert layer(x).dtype == torch.float32
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert layer(x).dtype == torch.float32
            assert layer(x).dtype == torch.float32
        assert change.took_effect
        assert torch.is_autocast_enabled("cpu") is is_open
    assert not torch.is_autocast_enabled("cpu")


def test_region_that_outlives_the_experiment() -> None:
    """Opened while it lasts, closed after it: autocast is off again."""
    region = torch.autocast("cpu", dtype=torch.bfloat16)
    with in_float32().during():
        region.__enter__()
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32
    region.__exit__(None, None, None)
    assert not torch.is_autocast_enabled("cpu")


def test_recurrent_layers_and_their_weights() -> None:
    """Weights that are given in a list."""
    unit = nn.LSTM(2, 3)
    with in_float64().during():
        out, _ = unit(torch.randn(4, 1, 2))
        out.sum().backward()
    assert out.dtype == torch.float64
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in unit.parameters())
