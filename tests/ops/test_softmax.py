from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at, same, second

from evenkeel import ops

INF, NAN = math.inf, math.nan
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
rows = st.lists(st.one_of(st.floats(-100, 100), st.just(-INF)), min_size=1, max_size=6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_row_without_an_open_element(dtype: torch.dtype) -> None:
    """Softmax 0, log_softmax and logsumexp -inf, and gradients of 0; torch has nan throughout."""
    closed = torch.zeros(2, dtype=torch.bool)
    for x in ([-INF, -INF], [1.0, 2.0]):
        mask = None if x[0] == -INF else closed
        assert at(lambda t, m=mask: ops.softmax(t, m), x, dtype=dtype) == ([0.0, 0.0], [0.0, 0.0])
        assert at(lambda t, m=mask: ops.log_softmax(t, m), x, dtype=dtype) == ([-INF, -INF], [0.0, 0.0])
        assert at(lambda t, m=mask: ops.logsumexp(t, m), x, dtype=dtype) == (-INF, [0.0, 0.0])
    assert same(at(lambda t: t.softmax(-1), [-INF, -INF])[0], [NAN, NAN])
    assert same(at(lambda t: torch.logsumexp(t, -1), [-INF, -INF])[1], [NAN, NAN])


def test_a_closed_element_is_not_looked_at() -> None:
    """Nan under the mask changes neither values nor gradients."""
    mask = torch.tensor([True, False, True])
    for op in (ops.softmax, ops.log_softmax, ops.logsumexp):
        value, slope = at(lambda t, f=op: f(t, mask).where(mask, 0.0)[..., ::2], [1.0, NAN, 3.0], dtype=torch.float64)
        wanted, wanted_slope = at(op, [1.0, 3.0], dtype=torch.float64)
        if op is ops.logsumexp:
            continue
        assert value == pytest.approx(wanted)
        assert slope == pytest.approx([wanted_slope[0], 0.0, wanted_slope[1]])
    value, slope = at(lambda t: ops.logsumexp(t, mask), [1.0, NAN, 3.0], dtype=torch.float64)
    assert value == pytest.approx(3 + math.log1p(math.exp(-2)))
    assert slope[1] == 0.0


def test_an_open_element_that_is_bad_is_not_hidden() -> None:
    """Inf and nan among the open ones."""
    assert same(at(ops.softmax, [[INF, 1.0], [NAN, 1.0]])[0], [[NAN, NAN], [NAN, NAN]])
    assert same(at(ops.log_softmax, [[INF, 1.0], [NAN, 1.0]])[0][1], [NAN, NAN])
    assert same(at(ops.logsumexp, [[INF, 1.0], [NAN, 1.0], [INF, NAN]])[0], [INF, NAN, NAN])


def test_what_comes_into_a_closed_element_is_lost() -> None:
    """-inf there is a constant: nan that comes in (from 0·inf behind it) does not reach the logits."""
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    result = ops.log_softmax(x, torch.tensor([True, True, False]))
    (slope,) = torch.autograd.grad(result, x, torch.tensor([1.0, 0.0, NAN]))
    assert slope.isfinite().all()
    assert slope[2] == 0


def test_the_nearly_certain_outcome_keeps_its_logarithm() -> None:
    """Torch rounds it to 0: a loss of 0 that still has a gradient."""
    x = torch.tensor([0.0, -30.0])
    assert x.log_softmax(-1)[0] == 0
    assert ops.log_softmax(x)[0].item() == pytest.approx(-math.exp(-30), rel=1e-5)


def test_large_logits() -> None:
    """No overflow at the end of the range."""
    top = torch.finfo(torch.float32).max
    assert at(ops.softmax, [top, top, -top])[0] == [0.5, 0.5, 0.0]
    assert at(ops.logsumexp, [top, 0.0])[0] == pytest.approx(top)


def test_other_dimensions_and_broadcast_masks() -> None:
    """Dim and mask as in torch, and keepdim."""
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    mask = torch.tensor([True, False, True]).unsqueeze(-1)
    filled = x.masked_fill(~mask, -INF)
    torch.testing.assert_close(ops.softmax(x, mask, 1), filled.softmax(1))
    torch.testing.assert_close(ops.log_softmax(x, mask, dim=1), filled.log_softmax(1))
    torch.testing.assert_close(ops.logsumexp(x, mask, 1, keepdim=True), filled.logsumexp(1, keepdim=True))
    assert ops.logsumexp(x, dim=0).shape == (3, 4)


def test_a_mask_has_to_be_boolean() -> None:
    """A mask of numbers may mean anything: torch's own words."""
    with pytest.raises((RuntimeError, TypeError)):
        ops.softmax(torch.zeros(2), torch.tensor([0.0, 1.0]))
    with pytest.raises((RuntimeError, TypeError)):
        ops.softmax(torch.zeros(2), torch.tensor([0, 1]))


@given(rows)
def test_probabilities(row: list[float]) -> None:
    """They sum to 1 or, where nothing is open, to 0; log_softmax is their logarithm; gradients are finite."""
    x = torch.tensor(row, dtype=torch.float64, requires_grad=True)
    p, log_p = ops.softmax(x), ops.log_softmax(x)
    assert p.sum().item() == pytest.approx(float(max(row) > -INF), abs=1e-14)
    torch.testing.assert_close(log_p.exp(), p, rtol=1e-12, atol=1e-300)
    weights = torch.arange(1.0, len(row) + 1, dtype=torch.float64)
    for result in ((p * weights).sum(), log_p.where(x > -INF, 0.0).sum(), ops.logsumexp(x)):
        (slope,) = torch.autograd.grad(result, x, retain_graph=True)
        assert slope.isfinite().all()


def test_groups() -> None:
    """Each group is a softmax of its own; one of -inf is 0 with gradient 0; an empty one changes nothing."""
    group = torch.tensor([0, 2, 0, 2, 3])
    value, slope = at(lambda x: ops.grouped_softmax(x, group, 5)[:3], [1.0, 500.0, 3.0, 500.0, -INF])
    wanted, wanted_slope = at(ops.softmax, [1.0, 3.0])
    assert value == pytest.approx([wanted[0], 0.5, wanted[1]], rel=1e-6)
    assert slope == pytest.approx([wanted_slope[0], 0.25, wanted_slope[1], -0.25, 0.0], abs=1e-6)
    assert ops.grouped_softmax(torch.tensor([-INF, -INF]), torch.tensor([0, 0]), 1).tolist() == [0.0, 0.0]


def test_a_bad_group_does_not_spread() -> None:
    """Nan and inf stay in their groups."""
    x = torch.tensor([NAN, 1.0, INF, 1.0, 2.0])
    result = ops.grouped_softmax(x, torch.tensor([0, 0, 1, 1, 2]), 3)
    assert same(result.tolist()[:3] + result.tolist()[4:], [NAN, NAN, NAN, 1.0])


def test_groups_along_any_dimension() -> None:
    """As a loop over the groups has it."""
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    group = torch.tensor([1, 0, 1, 1, 0])
    result = ops.grouped_softmax(x, group, 2, 1)
    for g in range(2):
        torch.testing.assert_close(result[:, group == g], x[:, group == g].softmax(1))


def test_second_derivatives_of_closed_rows() -> None:
    """They are 0, too."""
    assert second(ops.softmax, [-INF, -INF]) == [[0.0, 0.0]]
    assert second(ops.logsumexp, [-INF, -INF]) == [[0.0, 0.0]]
