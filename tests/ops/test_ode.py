from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from evenkeel import ops
from evenkeel.core.errors import EvenkeelError, UsageError
from evenkeel.ops.ode import Solver

SOLVERS = [ops.EULER, ops.MIDPOINT, ops.HEUN, ops.RK4]
every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.name)


def turning(x: Tensor, time: float) -> Tensor:
    """Solved by x0·exp(sin t)."""
    return x * math.cos(time)


def times(num_steps: int, end: float = 1.0) -> list[float]:
    """Equal steps from 0 to the end."""
    return [end * i / num_steps for i in range(num_steps + 1)]


@every_solver
def test_order(solver: Solver) -> None:
    """Halving the steps divides the error by 2**order, within a tenth."""
    x = torch.ones(3, dtype=torch.float64)
    exact = math.exp(math.sin(1.0))
    coarse, fine = (abs(ops.integrate(turning, x, times(n), solver)[0].item() - exact) for n in (40, 80))
    assert coarse / fine == pytest.approx(2**solver.order, rel=0.1)


@every_solver
def test_the_estimate_is_the_error(solver: Solver) -> None:
    """Of the finer of the two solutions, within 15 %."""
    x = torch.tensor([1.0, -2.0], dtype=torch.float64)
    found = ops.integrate_with_estimate(turning, x, times(40), solver)
    torch.testing.assert_close(found.state, ops.integrate(turning, x, times(80), solver), rtol=1e-14, atol=0)
    true = (found.state - x * math.exp(math.sin(1.0))).abs()
    torch.testing.assert_close(found.error, true, rtol=0.15, atol=0)


@every_solver
def test_back_again(solver: Solver) -> None:
    """Times may run backwards."""
    x = torch.ones(1, dtype=torch.float64)
    there = ops.integrate(turning, x, times(200), solver)
    assert ops.integrate(turning, there, times(200)[::-1], solver).item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("solver", "num_steps", "ratio"),
    [
        (ops.EULER, 20, 0.938),
        (ops.EULER, 50, 0.975),
        (ops.HEUN, 20, 0.9999),
        (ops.MIDPOINT, 10, 0.99986),
        (ops.RK4, 5, 0.99997),
    ],
)
def test_flow_matching_of_a_gaussian(solver: Solver, num_steps: int, ratio: float) -> None:
    """The recipe's own numbers: standard deviation of samples over the true one, for the exact velocity."""

    def velocity(x: Tensor, t: float) -> Tensor:
        return x * (2 * t - 1) / ((1 - t) ** 2 + t**2)

    end = ops.integrate(velocity, torch.ones(1, dtype=torch.float64), times(num_steps), solver)
    assert end.item() == pytest.approx(ratio, abs=6e-4)


def test_a_bad_velocity_stops_with_step_time_and_count() -> None:
    """The first one is named, although all after it are bad too."""

    def velocity(x: Tensor, time: float) -> Tensor:
        return torch.where(torch.tensor([time > 0.55, False, time > 0.55]), torch.nan, x)

    with pytest.raises(
        ops.NonFiniteVelocity, match=r"2 of 3 elements .* in step 5 of 10 .* at time 0.55; all before"
    ) as told:
        ops.integrate(lambda x, t: velocity(x, t + 1e-9), torch.ones(3), times(10), ops.MIDPOINT)
    assert isinstance(told.value, EvenkeelError)


def test_one_look_at_the_device_for_a_whole_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty steps, one wait."""
    looks = []
    look = Tensor.tolist
    monkeypatch.setattr(Tensor, "tolist", lambda self: looks.append(1) or look(self))
    ops.integrate(turning, torch.ones(2), times(30))
    assert len(looks) == 1


def test_gradients_go_through() -> None:
    """Through all stages of all steps."""
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: ops.integrate(turning, x, times(5), ops.RK4), (x,))


def test_a_beginning_without_an_end() -> None:
    """One time is no interval."""
    with pytest.raises(UsageError, match="two times at least"):
        ops.integrate(turning, torch.ones(1), [0.0])
