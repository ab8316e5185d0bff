from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at, same, second
from torch import Tensor

from evenkeel import ops

INF, NAN = math.inf, math.nan
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nothing_to_divide_by(dtype: torch.dtype) -> None:
    """The stated value, and slope 0 for both; the naive where has nan in its gradients."""
    value, by_a, by_b = at(lambda a, b: ops.divide(a, b, 1.0), [0.0, 3.0, 4.0], [0.0, 0.0, 2.0], dtype=dtype)
    assert value == [1.0, 1.0, 2.0]
    assert by_a == [0.0, 0.0, 0.5]
    assert by_b == [0.0, 0.0, -1.0]
    naive = at(lambda a, b: torch.where(b == 0, 1.0, a / b), [0.0], [0.0], dtype=dtype)
    assert naive[0] == [1.0]
    assert math.isnan(naive[1][0])
    assert math.isnan(naive[2][0])


def test_division_does_not_hide() -> None:
    """Only b = 0 is spoken for."""
    value, *_ = at(ops.divide, [NAN, 1.0, INF, 1.0, 0.0, NAN], [1.0, NAN, INF, INF, INF, 0.0])
    assert same(value, [NAN, NAN, NAN, 0.0, 0.0, NAN])


def test_the_slope_of_a_quotient_by_a_small_number() -> None:
    """b² would underflow; the slope does not need it."""
    _, _, by_b = at(ops.divide, [1e-20], [1e-25])
    assert by_b[0] == pytest.approx(-1e30, rel=1e-5)


def test_second_derivatives_of_division_by_zero() -> None:
    """They are 0."""
    assert second(ops.divide, [1.0], [0.0]) == [[0.0], [0.0]]


def test_a_mean_says_of_how_many() -> None:
    """Of three, of none; nan under the mask is not looked at, and gets no gradient."""
    mask = torch.tensor([[True, False, True], [False, False, False]])
    x = torch.tensor([[1.0, NAN, 4.0], [NAN, 1.0, INF]], requires_grad=True)
    mean, population = ops.masked_mean(x, mask, -1)
    assert mean.tolist() == [2.5, 0.0]
    assert population.tolist() == [2, 0]
    assert population.dtype == torch.int64
    (slope,) = torch.autograd.grad(mean.sum(), x)
    assert slope.tolist() == [[0.5, 0.0, 0.5], [0.0, 0.0, 0.0]]


def test_a_mask_may_be_broadcast_and_counts_what_it_covers() -> None:
    """The population counts elements of x, not of the mask; dim=None is all of x."""
    x = torch.arange(6.0).reshape(2, 3)
    mean, population = ops.masked_mean(x, torch.tensor([True, False, True]))
    assert (mean.item(), population.item()) == (2.5, 4)
    assert ops.masked_mean(x, torch.tensor([True, False, True]), (0, 1), keepdim=True).value.shape == (1, 1)


def test_means_of_many_halves() -> None:
    """The sum of 100,000 ones is beyond float16, their mean is not."""
    x = torch.ones(100_000, dtype=torch.float16)
    assert ops.masked_mean(x, x > 0).value.item() == 1


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("row", [[0.1] * 3, [0.1] * 7, [1000.1] * 5, [5.0]], ids=len)
def test_a_constant_has_spread_zero_and_slope_zero(dtype: torch.dtype, row: list[float]) -> None:
    """Exactly, also where the rounded mean is not the constant; one element is a constant."""
    spread, slope = at(ops.std, row, dtype=dtype)
    assert spread == 0
    assert slope == [0.0] * len(row)
    mask = torch.ones(len(row), dtype=torch.bool)
    assert at(lambda x: ops.masked_var(x, mask).value, row, dtype=dtype) == (0.0, [0.0] * len(row))


def test_the_naive_root_of_a_variance() -> None:
    """What std is there for: the gradient of sqrt(var) of a constant is nan, std() of one element is nan."""
    assert same(at(lambda x: x.var().sqrt(), [2.0, 2.0])[1], [NAN, NAN])


@pytest.mark.parametrize("correction", [0, 1, 2])
def test_spread_is_that_of_torch(correction: int) -> None:
    """Values and gradients, over the part that is open."""
    x = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([True, False] * 4)
    for ours, torchs in ((ops.masked_std, Tensor.std), (ops.masked_var, Tensor.var)):
        value = ours(x, mask, -1, correction=correction).value
        wanted = torchs(x[:, ::2], -1, correction=correction)
        torch.testing.assert_close(value, wanted)
        slopes = [torch.autograd.grad(v.sum(), x)[0] for v in (value, wanted)]
        torch.testing.assert_close(*slopes)


def test_spread_of_too_few() -> None:
    """A population that does not exceed the correction has spread 0, and says how many it is."""
    x = torch.tensor([[1.0, 2.0, NAN], [1.0, NAN, NAN], [NAN, NAN, NAN]], requires_grad=True)
    spread, population = ops.masked_std(x, ~x.isnan(), -1)
    assert spread.tolist() == [pytest.approx(math.sqrt(0.5)), 0.0, 0.0]
    assert population.tolist() == [2, 1, 0]
    (slope,) = torch.autograd.grad(spread.sum(), x)
    assert slope[1:].tolist() == [[0.0] * 3] * 2
    assert ops.masked_std(x, ~x.isnan(), -1, correction=2).value.tolist() == [0.0] * 3


@pytest.mark.parametrize("scale", [1e30, 1e-40])
def test_spread_at_every_scale(scale: float) -> None:
    """Squares of 1e30 are beyond float32, and those of 1e-40 below it."""
    assert at(ops.std, [scale, 3 * scale])[0] == pytest.approx(math.sqrt(2) * scale, rel=1e-4)


def test_spread_of_a_number_and_of_all() -> None:
    """A scalar has one element; dim=None takes all."""
    assert ops.std(torch.tensor(3.0)).item() == 0
    x = torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(ops.std(x), x.std())
    assert ops.std(x, keepdim=True).shape == (1, 1)


def test_second_derivatives_of_a_constant() -> None:
    """0, where the double root of torch has nan."""
    assert second(ops.std, [2.0, 2.0]) == [[0.0, 0.0]]


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6), st.integers(-1000, 1000))
def test_spread_does_not_see_an_offset(row: list[float], offset: int) -> None:
    """Up to the rounding of the shifted numbers themselves."""
    x = torch.tensor(row, dtype=torch.float64)
    assert ops.std(x + offset).item() == pytest.approx(ops.std(x).item(), abs=1e-12)
