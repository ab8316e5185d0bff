from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at, same, second

from evenkeel import ops

INF, NAN = math.inf, math.nan
number = st.floats(-1e4, 1e4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_log1mexp_at_its_edges(dtype: torch.dtype) -> None:
    """0 at -inf, -inf at 0 from either side of its sign, nan above 0 and at nan."""
    value, slope = at(ops.log1mexp, [-INF, -0.0, 0.0, 1.0, NAN], dtype=dtype)
    assert same(value, [0.0, -INF, -INF, NAN, NAN])
    assert same(slope[:3], [0.0, -INF, -INF])


def test_log1mexp_keeps_subnormal_results() -> None:
    """exp(-100) is a subnormal float32; log(1 - exp) makes 0 of it, and -1/expm1(-x) makes 0 of its slope."""
    value, slope = at(ops.log1mexp, [-100.0])
    assert value[0] == pytest.approx(-math.exp(-100), abs=2 * 2.0**-149)
    assert slope[0] == pytest.approx(-math.exp(-100), abs=2 * 2.0**-149)
    assert at(lambda x: torch.log(1 - torch.exp(x)), [-100.0])[0] == [0.0]


def test_log1mexp_in_a_branch_that_is_not_taken() -> None:
    """At 0, above 0: no gradient comes in, none goes out."""
    _, slope = at(lambda x: torch.where(x < 0, ops.log1mexp(x), 0.0), [0.0, 3.0, -1.0])
    assert slope[:2] == [0.0, 0.0]
    assert slope[2] == pytest.approx(-1 / math.expm1(1))


def test_log1pexp_at_its_edges() -> None:
    """0 and log 2 and the identity, with slopes 0, ½, 1: relu + log1p(exp(-|x|)) alone has slope 0 at 0."""
    value, slope = at(ops.log1pexp, [-INF, 0.0, INF, NAN], dtype=torch.float64)
    assert same(value, [0.0, math.log(2), INF, NAN])
    assert same(slope, [0.0, 0.5, 1.0, NAN])
    assert math.copysign(1, value[0]) == 1


def test_log1pexp_does_not_turn_into_the_identity() -> None:
    """Torch's softplus does above 20."""
    x = torch.tensor([20.5], dtype=torch.float64)
    assert torch.nn.functional.softplus(x).item() == 20.5
    assert ops.log1pexp(x).item() - 20.5 == pytest.approx(math.exp(-20.5), rel=1e-5)


def test_log_softplus_at_its_edges() -> None:
    """Far below it is x itself, at 0 log log 2, far above log x, with the slopes 1, 1/(2·log 2) and 0."""
    value, slope = at(ops.log_softplus, [-INF, -1e30, 0.0, 1e30, INF, NAN], dtype=torch.float64)
    assert same(value[:2] + value[4:], [-INF, -1e30, INF, NAN])
    assert value[2:4] == pytest.approx([math.log(math.log(2)), math.log(1e30)])
    assert same(slope[:2] + slope[4:], [1.0, 1.0, 0.0, NAN])
    assert slope[2:4] == pytest.approx([0.5 / math.log(2), 1e-30])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_log_softplus_where_softplus_is_zero(dtype: torch.dtype) -> None:
    """Below -800 no dtype holds exp(x): the logarithm of softplus is -inf with a slope of nan, ours x with slope 1."""
    assert at(ops.log_softplus, [-800.0], dtype=dtype) == ([-800.0], [1.0])
    value, slope = at(lambda x: torch.log(torch.nn.functional.softplus(x)), [-800.0], dtype=dtype)
    assert value == [-INF]
    assert math.isnan(slope[0])


def test_second_derivatives_of_log_softplus() -> None:
    """They are finite on both sides, and at 0, where the formula changes, those of the function."""
    log2 = math.log(2)
    got = second(ops.log_softplus, [-1e4, -200.0, 0.0, 200.0])[0]
    assert got == pytest.approx([0.0, 0.0, 0.25 / log2 - 0.25 / log2**2, -1 / 200**2], abs=1e-30)


@given(st.floats(-60, 60))
def test_log_softplus_is_the_logarithm_of_log1pexp(x: float) -> None:
    """Wherever that is a number."""
    at_x = torch.tensor(x, dtype=torch.float64)
    torch.testing.assert_close(ops.log_softplus(at_x), torch.log(ops.log1pexp(at_x)), rtol=1e-14, atol=1e-15)


def test_logaddexp_has_a_neutral_element() -> None:
    """-inf added changes nothing, and the gradient is that of the other one."""
    value, by_a, by_b = at(ops.logaddexp, [-INF, -INF, 2.0], [-INF, 2.0, -INF])
    assert value == [-INF, 2.0, 2.0]
    assert by_a == [0.0, 0.0, 1.0]
    assert by_b == [0.0, 1.0, 0.0]
    assert math.isnan(at(torch.logaddexp, [-INF], [-INF])[1][0])


def test_logaddexp_of_infinities() -> None:
    """Inf where one is inf; shares of ½ where both are; nan stays."""
    value, by_a, _ = at(ops.logaddexp, [INF, INF, INF, NAN], [INF, 1.0, -INF, 1.0])
    assert same(value, [INF, INF, INF, NAN])
    assert same(by_a[:3], [0.5, 1.0, 1.0])


def test_logsubexp_at_its_edges() -> None:
    """Nothing left; nothing taken; less than nothing; inf - inf."""
    value, by_a, by_b = at(ops.logsubexp, [1.0, -INF, 1.0, 1.0, INF, INF], [1.0, -INF, -INF, 2.0, INF, 0.0])
    assert same(value, [-INF, -INF, 1.0, NAN, NAN, INF])
    assert same(by_a[:3], [INF, 0.0, 1.0])
    assert same(by_b[:3], [-INF, 0.0, 0.0])


@given(number, number)
def test_logsubexp_undoes_logaddexp(a: float, b: float) -> None:
    """Log(exp a + exp b - exp b) is a, as far as the sum has kept it."""
    x, y = torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)
    back = ops.logsubexp(ops.logaddexp(x, y), y).item()
    lost = 4 * math.ulp(max(abs(a), abs(b), 1.0)) * math.exp(min(max(b - a, 0.0), 700.0))
    assert back == pytest.approx(a, abs=lost + 1e-15) or lost > 1e-3


@given(number, number)
def test_shares_add_up(a: float, b: float) -> None:
    """The two slopes of logaddexp sum to 1."""
    _, by_a, by_b = at(ops.logaddexp, [a], [b], dtype=torch.float64)
    assert by_a[0] + by_b[0] == pytest.approx(1.0, abs=1e-15)


def test_log_tanh_derivative_at_its_edges() -> None:
    """0 at 0, -inf at infinities, and in between where tanh has long rounded to 1."""
    value, slope = at(ops.log_tanh_derivative, [0.0, INF, -INF, NAN, 100.0, 1e-20])
    assert same(value[:4], [0.0, -INF, -INF, NAN])
    assert same(slope[:4], [0.0, -2.0, 2.0, NAN])
    assert value[4] == pytest.approx(2 * (math.log(2) - 100))
    assert value[5] == pytest.approx(-1e-40, rel=1e-4)


@given(st.floats(-700, 700))
def test_log_tanh_derivative_is_even(u: float) -> None:
    """1 - tanh² does not know a sign; its slope is odd."""
    value, slope = at(ops.log_tanh_derivative, [u, -u], dtype=torch.float64)
    assert value[0] == value[1]
    assert slope[0] == -slope[1]


def test_second_derivatives_at_edges() -> None:
    """The conventions hold in second derivatives too."""
    assert second(ops.log1pexp, [0.0]) == [[0.25]]
    assert second(ops.log_tanh_derivative, [0.0]) == [[-2.0]]
    assert second(ops.logaddexp, [-INF], [-INF]) == [[0.0], [0.0]]


def test_second_derivative_of_equal_arguments() -> None:
    """¼ and -¼ for a and b: a formula with |a - b| has a kink there."""
    a = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    b = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (by_a,) = torch.autograd.grad(ops.logaddexp(a, b), a, create_graph=True)
    assert [g.item() for g in torch.autograd.grad(by_a, (a, b))] == [0.25, -0.25]
