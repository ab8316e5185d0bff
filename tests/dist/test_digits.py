"""Numbers written in digits add exactly, whoever adds first."""

import math
from fractions import Fraction
from random import Random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.dist.digits import Span, digits, number_of
from evenkeel.tensors.wide import Wide

finite = st.floats(-1e250, 1e250, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-250)
ranks = st.lists(st.lists(finite, min_size=3, max_size=3), min_size=1, max_size=5)


def exact(number: Wide) -> list[Fraction]:
    """High and low parts together."""
    pairs = zip(number.high.tolist(), number.low.tolist(), strict=True)
    return [Fraction(high) + Fraction(low) for high, low in pairs]


def over_ranks(parts: list[Wide]) -> tuple[Wide, torch.Tensor]:
    """What `reduce` does, without the other processes."""
    span = Span()
    for part in parts:
        span = span.joined(Span.of(part))
    summed = torch.stack([digits(part, span) for part in parts]).sum(0)
    return number_of(summed, span), summed


@settings(max_examples=200, deadline=None)
@given(ranks)
def test_sum_over_ranks_is_exact(given_by_rank: list[list[float]]) -> None:
    """To 2^-100 of the sum itself, and not of the largest term: what cancels leaves the rest whole."""
    parts = [Wide.of(torch.tensor(values, dtype=torch.float64)) for values in given_by_rank]
    found, _ = over_ranks(parts)
    for column, value in enumerate(exact(found)):
        expected = sum((Fraction(values[column]) for values in given_by_rank), Fraction(0))
        assert abs(value - expected) <= abs(expected) * Fraction(1, 2**100)


@settings(max_examples=100, deadline=None)
@given(ranks, st.randoms())
def test_order_of_ranks_changes_no_bit(given_by_rank: list[list[float]], random: Random) -> None:
    """Digits are whole numbers far below 2^53."""
    parts = [Wide.of(torch.tensor(values, dtype=torch.float64)) for values in given_by_rank]
    _, summed = over_ranks(parts)
    random.shuffle(parts)
    _, again = over_ranks(parts)
    assert torch.equal(summed, again)
    assert bool((summed.abs() <= len(parts) * 2.0**40).all())


def test_numbers_that_are_not_finite_stay_what_they_are() -> None:
    """They do not spoil the numbers beside them."""
    bad = Wide.of(torch.tensor([math.inf, -math.inf, math.nan, 1.0, math.inf], dtype=torch.float64))
    good = Wide.of(torch.tensor([1.0, 1.0, 1.0, 1.0, -math.inf], dtype=torch.float64))
    found = over_ranks([bad, good])[0].high.tolist()
    assert found[:2] == [math.inf, -math.inf]
    assert math.isnan(found[2])
    assert found[3] == 2.0
    assert math.isnan(found[4])


def test_low_parts_are_carried_along() -> None:
    """1 + 2^-80 on one rank, -1 on the other."""
    first = Wide.of(torch.tensor([1.0])) + Wide.of(torch.tensor([2.0**-80]))
    found, _ = over_ranks([first, Wide.of(torch.tensor([-1.0]))])
    assert found.high.item() == 2.0**-80


def test_zeros_need_no_more_than_one_digit() -> None:
    """Ranks without data all send zeros."""
    assert digits(Wide.zeros(4), Span()).tolist() == [[0.0] * 4]
    assert number_of(torch.zeros(1, 4, dtype=torch.float64), Span()).high.tolist() == [0.0] * 4
