"""Correlation, concordance and R2 at their edges."""

import math

import pytest
import torch

from evenkeel.metrics import Paired

Y = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)


def test_perfect_and_opposite() -> None:
    """1, and -1."""
    same, opposite = Paired.of(Y, Y), Paired.of(-Y, Y)
    assert same.pearson()[0].value == pytest.approx(1.0, abs=1e-15)
    assert same.score().value == pytest.approx(1.0, abs=1e-15)
    assert same.pooled().explained()[0].value == 1.0
    assert opposite.pearson()[0].value == pytest.approx(-1.0, abs=1e-15)


def test_mean_predictor_explains_nothing() -> None:
    """R2 0; a worse one is below 0."""
    assert Paired.of(torch.full_like(Y, Y.mean()), Y).explained()[0].value == pytest.approx(0.0, abs=1e-15)
    assert Paired.of(-Y, Y).explained()[0].value < 0


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3, -1e-7])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_constant_side_has_no_correlation(value: float, batch_size: int) -> None:
    """Not 0, and not what rounding makes of 0/0; the concordance of a constant is 0."""
    y = torch.linspace(0.0, 1.0, 100, dtype=torch.float64)
    batches = zip(torch.split(torch.full_like(y, value), batch_size), torch.split(y, batch_size), strict=True)
    found = Paired.empty()
    for left, right in batches:
        found = found + Paired.of(left, right)
    assert not found.pearson()[0].is_defined
    assert "constant" in found.pearson()[0].reason
    assert found.concordance()[0].value == pytest.approx(0.0, abs=1e-15)
    assert found.explained()[0].is_defined


def test_same_constant_on_both_sides_has_no_concordance() -> None:
    """0/0; with two different constants it is 0."""
    ones = torch.full((5,), 0.1, dtype=torch.float64)
    assert not Paired.of(ones, ones).concordance()[0].is_defined
    assert Paired.of(ones, ones + 1.0).concordance()[0].value == pytest.approx(0.0, abs=1e-15)


def test_constant_targets_leave_nothing_to_explain() -> None:
    """R2 is undefined there."""
    assert not Paired.of(Y, torch.full_like(Y, 3.0)).explained()[0].is_defined


def test_groups_and_pooled_are_different_questions() -> None:
    """Two groups, each perfectly ordered the wrong way, lie on a rising line together (Simpson)."""
    x = torch.tensor([[1.0, 11.0], [2.0, 12.0], [3.0, 13.0]])
    y = torch.tensor([[3.0, 13.0], [2.0, 12.0], [1.0, 11.0]])
    found = Paired.of(x, y)
    assert found.pearson().mean().value == pytest.approx(-1.0)
    assert found.pooled().pearson()[0].value > 0.9


def test_infinite_prediction_is_no_number() -> None:
    """The difference of two infinities is NaN, and stays one."""
    found = Paired.of(torch.tensor([1.0, math.inf, 2.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert math.isnan(found.pearson()[0].value)
    assert "1 elements are not finite" in found.pearson()[0].reason
