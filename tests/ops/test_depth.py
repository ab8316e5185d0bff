from __future__ import annotations

import math

import pytest
import torch
from tests.ops.derive import at

from evenkeel import ops
from evenkeel.core.errors import UsageError

ALL = torch.ones((), dtype=torch.bool)


@pytest.mark.parametrize("focus", [0.0, 0.5, 0.85, 1.0])
def test_beside_the_formula(focus: float) -> None:
    """The usual one-pass formula, in float64 where it does not cancel."""
    p, t = torch.randn(2, 3, 20, dtype=torch.float64)
    mask = torch.rand(3, 20) < 0.7
    got = ops.scale_invariant_log_error(p, t, mask, focus, -1)
    rows = [(p - t)[i][mask[i]] for i in range(3)]
    wanted = torch.stack([(d.square().mean() - focus * d.mean().square()).sqrt() for d in rows])
    torch.testing.assert_close(got.value, wanted)
    assert got.population.tolist() == mask.sum(-1).tolist()


def test_a_constant_error_is_no_error_at_focus_one() -> None:
    """Value and slope 0, where the root of mean(d²) - mean(d)² has nan or an arbitrary large number."""
    value, slope, _ = at(
        lambda p, t: ops.scale_invariant_log_error(p, t, ALL, 1.0).value, [1.1, 2.1, 3.1], [1.0, 2.0, 3.0]
    )
    assert value == pytest.approx(0, abs=1e-6)
    assert all(map(math.isfinite, slope))
    value, slope, _ = at(lambda p, t: ops.scale_invariant_log_error(p, t, ALL, 1.0).value, [1.5, 1.5], [1.0, 1.0])
    assert value == 0
    assert slope == [0.0, 0.0]
    d = torch.full((7,), 0.1, requires_grad=True)
    (naive,) = torch.autograd.grad((d.square().mean() - d.mean().square()).sqrt(), d)
    assert not naive.isfinite().all()


def test_missing_depths() -> None:
    """A log 0 under the mask is not looked at; no depth at all is 0 of 0."""
    p = torch.tensor([0.5, 1.0], requires_grad=True)
    t = torch.tensor([-math.inf, 1.5])
    got = ops.scale_invariant_log_error(p, t, t > -1, 0.5)
    assert got.value.item() == pytest.approx(0.5 * math.sqrt(0.5))
    assert got.population == 1
    assert torch.autograd.grad(got.value, p)[0].tolist() == pytest.approx([0.0, -math.sqrt(0.5)])
    assert ops.scale_invariant_log_error(p, t, t > 9, 0.5) == (0, 0)


def test_a_focus_outside() -> None:
    """It is refused with its value."""
    with pytest.raises(UsageError, match=r"variance_focus is 1.5.*between 0 and 1"):
        ops.scale_invariant_log_error(torch.zeros(2), torch.zeros(2), ALL, 1.5)
