"""A sketch keeps the error it states."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.core.errors import UsageError
from evenkeel.metrics import Precision, QuantileSketch

PRECISION = Precision(0.02, 1e-3, 1e4)
numbers = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=60)


@settings(max_examples=300, deadline=None)
@given(numbers, st.floats(0, 1))
def test_quantile_lies_within_the_stated_error(values: list[float], share: float) -> None:
    """Of the number at that place of the sorted list, on both sides of 0 and around it."""
    found = QuantileSketch.of(torch.tensor(values, dtype=torch.float64), PRECISION).quantile(share)
    exact = sorted(values)[math.floor(share * (len(values) - 1))]
    assert abs(found.value - exact) <= found.error * (1 + 1e-9)
    assert found.error <= max(0.021 * abs(exact), 1e-3)
    assert found.counted == len(values)


@pytest.mark.parametrize("power", range(-3, 5))
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_ends_of_the_range_belong_to_it(power: int, sign: float) -> None:
    """`smallest` counts as 0, `largest` is still found."""
    found = QuantileSketch.of(torch.tensor([sign * 10.0**power]), PRECISION).quantile(0.5)
    assert abs(found.value - sign * 10.0**power) <= found.error * (1 + 1e-6)


def test_what_lies_beyond_is_counted_and_not_clamped() -> None:
    """A quantile among such values is undefined; those below are found."""
    found = QuantileSketch.of(torch.tensor([1.0, 2.0, 1e5, math.inf]), PRECISION)
    assert found.quantile(0.4).value == pytest.approx(2.0, rel=0.02)
    assert not found.quantile(1.0).is_defined
    assert "beyond 10000" in found.quantile(1.0).reason
    assert not QuantileSketch.of(torch.tensor([-math.inf, 1.0]), PRECISION).quantile(0.0).is_defined


def test_nan_is_not_ranked() -> None:
    """It leaves no quantile, unless it is masked; no values leave none either."""
    x = torch.tensor([1.0, math.nan])
    assert not QuantileSketch.of(x, PRECISION).score().is_defined
    assert "1 values are NaN" in QuantileSketch.of(x, PRECISION).score().reason
    assert QuantileSketch.of(x, PRECISION, ~x.isnan()).score().is_defined
    assert not QuantileSketch.empty(PRECISION).score().is_defined


@pytest.mark.parametrize("arguments", [(0.0, 1.0, 2.0), (1.0, 1.0, 2.0), (0.1, 2.0, 1.0), (0.1, 1.0, math.inf)])
def test_precision_has_to_be_one(arguments: tuple[float, float, float]) -> None:
    """And shares lie between 0 and 1."""
    with pytest.raises(UsageError, match="no sketch"):
        Precision(*arguments)
    with pytest.raises(UsageError, match="from 0 to 1"):
        QuantileSketch.empty(PRECISION).quantile(1.1)
