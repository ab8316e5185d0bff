from __future__ import annotations

import math

import pytest
import torch
from tests.ops.derive import at, same
from torch import Tensor

from evenkeel.ops.elementwise import elementwise, unless_unused


def reciprocal(x: Tensor) -> Tensor:
    """An operation with a pole at 0."""
    return elementwise(lambda x: 1 / x, (lambda x: -1 / x**2,), x, through=unless_unused)


def test_an_unselected_branch_stays_silent() -> None:
    """Where() sends 0 into the branch it did not take; 0·inf must not come out of it."""
    ours, slope = at(lambda x: torch.where(x > 0, reciprocal(x), x), [0.0, 2.0])
    naive, naive_slope = at(lambda x: torch.where(x > 0, 1 / x, x), [0.0, 2.0])
    assert ours == naive == [0.0, 0.5]
    assert slope == [1.0, -0.25]
    assert math.isnan(naive_slope[0])


def test_a_hessian_at_a_minimum() -> None:
    """No gradient comes in there, but its derivative does: the slope must not be taken for 0."""
    x = torch.tensor([2.0], requires_grad=True)
    loss = (reciprocal(x) - 0.5).square().sum()
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    assert slope.item() == 0
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    assert curvature.item() == 2 * 0.25**2


def test_a_selected_pole_is_not_hidden() -> None:
    """A gradient that does come in meets the true slope."""
    assert at(reciprocal, [0.0]) == ([math.inf], [-math.inf])


def test_nan_that_comes_in_goes_on() -> None:
    """A gradient of nan is no missing gradient."""
    x = torch.ones(1, requires_grad=True)
    (slope,) = torch.autograd.grad(reciprocal(x), x, torch.tensor([math.nan]))
    assert same(slope.tolist(), [math.nan])


def test_keeps_nothing_but_its_inputs() -> None:
    """The naive form keeps what it computed on the way; this keeps x."""
    kept: list[Tensor] = []
    x = torch.rand(1000, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        reciprocal(x)
    assert [t.data_ptr() for t in kept] == [x.data_ptr()]


def test_narrow_inputs_are_kept_narrow() -> None:
    """Computing in float32 does not mean to keep float32."""
    kept: list[Tensor] = []
    x = torch.rand(1000, dtype=torch.bfloat16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        reciprocal(x)
    assert [t.dtype for t in kept] == [torch.bfloat16]


def test_broadcasts_and_promotes() -> None:
    """Two arguments of unlike shapes and dtypes, each with a gradient of its own shape and dtype."""
    a = torch.rand(3, 1, dtype=torch.float16, requires_grad=True)
    b = torch.rand(4, dtype=torch.float64, requires_grad=True)
    result = elementwise(torch.mul, (lambda _a, b: b, lambda a, _b: a), a, b)
    assert result.dtype == torch.float64
    assert result.shape == (3, 4)
    by_a, by_b = torch.autograd.grad(result.sum(), (a, b))
    assert (by_a.shape, by_a.dtype, by_b.shape, by_b.dtype) == ((3, 1), torch.float16, (4,), torch.float64)
    torch.testing.assert_close(by_a.double(), b.sum().expand(3, 1), atol=1e-2, rtol=1e-2)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # torch uses it itself when forward mode is first asked for
def test_forward_mode_is_refused() -> None:
    """Refused with a sentence by torch, and not silently wrong."""
    with pytest.raises(RuntimeError, match="jvp"):
        torch.func.jvp(reciprocal, (torch.ones(1),), (torch.ones(1),))
