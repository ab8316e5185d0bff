from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at, same, second

from evenkeel import ops

INF, NAN = math.inf, math.nan


def test_what_has_no_weight_has_no_say() -> None:
    """Value and slopes of xlogy where the weight is 0, whatever y is; torch has nan for y at 0."""
    value, by_x, by_y = at(ops.xlogy, [0.0] * 5, [0.0, 1.0, -1.0, INF, 2.0], dtype=torch.float64)
    assert value == [0.0] * 5
    assert same(by_x, [0.0, 0.0, 0.0, INF, math.log(2)])
    assert by_y == [0.0] * 5
    assert math.isnan(at(torch.xlogy, [0.0], [0.0])[2][0])


def test_xlogy_does_not_hide() -> None:
    """Nan stays nan, a log that is used is honest."""
    value, *_ = at(ops.xlogy, [0.0, 1.0, 1.0, NAN, INF], [NAN, 0.0, -1.0, 1.0, 1.0])
    assert same(value, [NAN, -INF, NAN, NAN, NAN])


def test_xlogx_at_its_edges() -> None:
    """0 at 0 with slope 0: torch.xlogy(p, p) has slope nan, entr has inf."""
    value, slope = at(ops.xlogx, [0.0, 1.0, INF, -1.0, NAN])
    assert same(value, [0.0, 0.0, INF, NAN, NAN])
    assert same(slope[:3], [0.0, 1.0, INF])
    assert math.isnan(at(lambda p: torch.xlogy(p, p), [0.0])[1][0])
    assert at(torch.special.entr, [0.0])[1] == [INF]


def test_the_convention_is_the_limit_behind_a_softmax() -> None:
    """As a logit falls, its entropy gradient tends to what it is when the probability has become 0."""

    def by_probabilities(x: torch.Tensor) -> torch.Tensor:
        return ops.entropy(torch.softmax(x, -1))

    _, near = at(by_probabilities, [0.0, 1.0, -80.0])
    _, gone = at(by_probabilities, [0.0, 1.0, -INF])
    assert gone == pytest.approx(near, abs=1e-30)


def test_entropy_at_its_edges() -> None:
    """Certainty, even odds, no outcomes."""
    assert at(ops.entropy, [[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)[0] == pytest.approx([0.0, math.log(2)])
    assert ops.entropy(torch.empty(2, 0)).tolist() == [0.0, 0.0]


def test_entropy_of_logits_with_impossible_outcomes() -> None:
    """A mask and a logit of -inf mean the same; the gradient is finite; all impossible is 0."""
    mask = torch.tensor([[True, True, False], [False, False, False]])
    value, slope = at(lambda x: ops.entropy_of_logits(x, mask), [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    other, other_slope = at(ops.entropy_of_logits, [[1.0, 2.0, -INF], [-INF, -INF, -INF]])
    assert value == other
    assert slope == other_slope
    assert slope[0][2] == 0.0
    assert value[1] == 0.0
    assert slope[1] == [0.0] * 3
    wanted = torch.distributions.Categorical(logits=torch.tensor([1.0, 2.0])).entropy().item()
    assert value[0] == pytest.approx(wanted, rel=1e-6)


def test_entropy_of_logits_does_not_hide() -> None:
    """Nan and inf among the logits that count make nan."""
    assert same(at(ops.entropy_of_logits, [[NAN, 1.0], [INF, 1.0]])[0], [NAN, NAN])


def test_entropy_of_near_certainty() -> None:
    """One outcome 50 ahead of another: exp(-50)·51, where float32 softmax and log_softmax round it to exp(-50)·50."""
    value, slope = at(ops.entropy_of_logits, [0.0, -50.0])
    assert value == pytest.approx(math.exp(-50) * 51, rel=1e-5)
    assert slope == pytest.approx([-math.exp(-50) * 50, math.exp(-50) * 50], rel=1e-4)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=6), st.floats(-1e3, 1e3))
def test_entropy_of_logits_ignores_a_common_shift(logits: list[float], shift: float) -> None:
    """And lies between 0 and log n."""
    x = torch.tensor(logits, dtype=torch.float64)
    value = ops.entropy_of_logits(x).item()
    assert ops.entropy_of_logits(x + shift).item() == pytest.approx(value, rel=1e-9, abs=1e-9)
    assert 0 <= value <= math.log(len(logits)) + 1e-12


def test_second_derivatives_at_edges() -> None:
    """Nothing infinite comes out of an outcome with probability 0."""
    assert second(ops.xlogx, [0.0, 1.0]) == [[0.0, 1.0]]
    assert second(ops.xlogy, [0.0], [0.0]) == [[0.0], [0.0]]
