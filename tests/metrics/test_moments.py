"""Mean and variance keep their digits far from 0."""

import math

import pytest
import torch

from evenkeel.metrics import Moments


@pytest.mark.parametrize("far", [0.0, 1e4, -1e7, 1e9])
def test_variance_far_from_zero(far: float) -> None:
    """The whole numbers 1 to 9 have variance 7.5, wherever they lie; single samples, merged."""
    found = Moments.empty()
    for step in range(1, 10):
        found = found + Moments.of(torch.tensor([far + step], dtype=torch.float64))
    assert found.mean()[0].value == far + 5.0
    assert found.variance()[0].value == pytest.approx(7.5, rel=1e-12)


def test_a_float64_sum_of_squares_would_not_do() -> None:
    """The twin: what the test above would see without wide sums."""
    x = torch.arange(1, 10, dtype=torch.float64) + 1e9
    naive = float((x * x).sum() - x.sum() ** 2 / 9) / 8
    assert abs(naive - 7.5) > 1.0


def test_too_few_elements() -> None:
    """One has a mean and no variance, none has neither."""
    mask = torch.tensor([[True, False, True], [False, False, True]])
    found = Moments.of(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 5.0]]), mask)
    assert found.mean().values.tolist()[::2] == [1.0, 4.0]
    assert math.isnan(found.mean().values[1])
    assert found.variance().lacking.tolist() == [True, True, False]
    assert found.variance()[2].value == 2.0
    assert found.variance()[0].reason == "fewer than two elements"
    assert found.mean()[1].reason == "no elements"
    assert found.score().masked == 3
