"""Wide numbers keep what float64 loses, as exact fractions say."""

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.tensors.wide import Wide

ULP = Fraction(1, 2**104)
moderate = st.floats(-1e60, 1e60, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-60)
pairs = st.tuples(moderate, moderate)


def made(parts: tuple[float, float]) -> Wide:
    """A number of up to 106 bits: the product of two."""
    left, right = (torch.tensor([part], dtype=torch.float64) for part in parts)
    return Wide.product(left, right)


def exact(number: Wide) -> Fraction:
    """High and low together."""
    return Fraction(number.high.item()) + Fraction(number.low.item())


@settings(max_examples=300, deadline=None)
@given(pairs)
def test_products_are_exact(parts: tuple[float, float]) -> None:
    """Both halves together are the product, and the low one is at most half an ulp of the high one."""
    found = made(parts)
    assert exact(found) == Fraction(parts[0]) * Fraction(parts[1])
    assert abs(found.low.item()) <= math.ulp(found.high.item()) / 2


@pytest.mark.parametrize(
    ("operation", "by_definition"),
    [
        pytest.param(Wide.__add__, Fraction.__add__, id="plus"),
        pytest.param(Wide.__sub__, Fraction.__sub__, id="minus"),
        pytest.param(Wide.__mul__, Fraction.__mul__, id="times"),
    ],
)
@settings(max_examples=300, deadline=None)
@given(left=pairs, right=pairs)
def test_operations_keep_104_bits(
    operation: Callable[[Wide, Wide], Wide],
    by_definition: Callable[[Fraction, Fraction], Fraction],
    left: tuple[float, float],
    right: tuple[float, float],
) -> None:
    """Of the result itself, also where the high parts cancel."""
    a, b = made(left), made(right)
    expected = by_definition(exact(a), exact(b))
    assert abs(exact(operation(a, b)) - expected) <= abs(expected) * ULP * 4


@settings(max_examples=300, deadline=None)
@given(st.floats(1, 2), st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 60))
def test_high_parts_that_cancel_leave_the_low_ones_whole(high: float, left: float, right: float, shift: int) -> None:
    """Not one bit is lost, however far the low parts lie apart."""
    lows = (left * 2.0**-54, right * 2.0 ** (-54 - shift))
    a, b = (
        Wide(torch.tensor([h], dtype=torch.float64), torch.tensor([low], dtype=torch.float64))
        for h, low in zip((high, -high), lows, strict=True)
    )
    expected = Fraction(lows[0]) + Fraction(lows[1])
    assert abs(exact(a + b) - expected) <= abs(expected) * ULP


@settings(max_examples=300, deadline=None)
@given(pairs, moderate.filter(bool))
def test_quotients_keep_100_bits(parts: tuple[float, float], divisor: float) -> None:
    """Two steps of long division."""
    found = made(parts).over(torch.tensor([divisor], dtype=torch.float64))
    expected = exact(made(parts)) / Fraction(divisor)
    assert abs(exact(found) - expected) <= abs(expected) * ULP * 16


@settings(max_examples=100, deadline=None)
@given(st.lists(moderate, max_size=20))
def test_total_is_the_sum(values: list[float]) -> None:
    """Of any number of elements, none among them."""
    found = Wide.of(torch.tensor(values, dtype=torch.float64)).total()
    scale = sum((abs(Fraction(v)) for v in values), Fraction(0))
    assert abs(exact(found) - sum(map(Fraction, values))) <= scale * ULP * 16


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_stays_so(bad: float) -> None:
    """In the high part, where it is read; no NaN is made of an infinity."""
    number, one = (Wide.of(torch.tensor([x], dtype=torch.float64)) for x in (bad, 1.0))
    for found in (number + one, one + number, number * one, number - one, number.over(torch.ones(1).double())):
        assert repr(found.high.item()) == repr(bad)
        assert found.low.item() == 0.0
    assert math.isnan((number - number).high.item())
    assert math.isnan(Wide.zeros(1).over(torch.zeros(1).double()).high.item())
