"""Steps of ordinary differential equations, and a driver that does not walk on over a velocity of nan."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.errors import EvenkeelError, UsageError

Velocity = Callable[[Tensor, float], Tensor]  # of the state and the time
Step = Callable[[Velocity, Tensor, float, float], Tensor]  # of velocity, state, time, and the time to come


class NonFiniteVelocity(EvenkeelError):
    """A velocity was not finite, so what follows from it is not a solution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """A step with its order: halving the steps divides the error by 2**order, once they are small enough."""

    name: str
    order: int
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """A solution, and by how much it may be off."""

    state: Tensor
    error: Tensor  # elementwise, of `state`; the difference to half as many steps, divided by 2**order - 1


def euler_step(velocity: Velocity, x: Tensor, time: float, until: float) -> Tensor:
    """Euler: x + h·v(x, t). One evaluation, order 1."""
    return x + (until - time) * velocity(x, time)


def midpoint_step(velocity: Velocity, x: Tensor, time: float, until: float) -> Tensor:
    """Midpoint: x + h·v at the middle, reached by half an Euler step. Two evaluations, order 2."""
    h = until - time
    return x + h * velocity(x + (0.5 * h) * velocity(x, time), time + 0.5 * h)


def heun_step(velocity: Velocity, x: Tensor, time: float, until: float) -> Tensor:
    """Heun: x + h times the mean of v here and at the end of an Euler step. Two evaluations, order 2.

    It asks for the velocity at `until` itself: where that is singular at the end of time, take `midpoint_step`.
    """
    h = until - time
    here = velocity(x, time)
    return x + (0.5 * h) * (here + velocity(x + h * here, until))


def rk4_step(velocity: Velocity, x: Tensor, time: float, until: float) -> Tensor:
    """The classical Runge-Kutta step. Four evaluations, order 4; asks for the velocity at `until` itself."""
    h = until - time
    first = velocity(x, time)
    second = velocity(x + (0.5 * h) * first, time + 0.5 * h)
    third = velocity(x + (0.5 * h) * second, time + 0.5 * h)
    fourth = velocity(x + h * third, until)
    return x + (h / 6) * (first + 2 * (second + third) + fourth)


EULER = Solver(name="euler", order=1, step=euler_step)
MIDPOINT = Solver(name="midpoint", order=2, step=midpoint_step)
HEUN = Solver(name="heun", order=2, step=heun_step)
RK4 = Solver(name="rk4", order=4, step=rk4_step)


def integrate(velocity: Velocity, x: Tensor, times: Sequence[float], solver: Solver = MIDPOINT) -> Tensor:
    """The state at times[-1] of what moves with `velocity` from x at times[0], one step for each interval.

    Shape, Dtype: those of x; the velocity answers both. Times are numbers of the host, in float64, so that a step of
    1e-3 does not drown in the time; they may run backwards.
    Gradient: through all steps, as of the operations themselves.
    Error: `integrate_with_estimate` says; rounding adds about one ulp of x for each step.
    Cost: the evaluations, and one reduction beside each; one host sync, after the last step. A velocity that goes bad
    in an early step is therefore told of at the end.

    Raises:
        NonFiniteVelocity: a velocity held nan or inf; with the first such step, its time, and how many.
        UsageError: fewer than two times.
    """
    if len(times) < 2:  # noqa: PLR2004  # a beginning and an end
        raise UsageError(f"an integration needs two times at least, a beginning and an end; here are {len(times)}")
    asked: list[tuple[int, float]] = []  # the step and time of each evaluation
    num_bad: list[Tensor] = []
    for step, (time, until) in enumerate(itertools.pairwise(times)):

        def watched(state: Tensor, at: float, step: int = step) -> Tensor:
            answer = velocity(state, at)
            asked.append((step, at))
            num_bad.append((~answer.detach().isfinite()).sum())
            return answer

        x = solver.step(watched, x, float(time), float(until))
    _refuse_bad(asked, torch.stack(num_bad).tolist(), x.numel(), len(times) - 1)
    return x


def integrate_with_estimate(
    velocity: Velocity, x: Tensor, times: Sequence[float], solver: Solver = MIDPOINT
) -> Estimated:
    """`integrate` with every interval halved, and an estimate of its error from the same without halving.

    Cost: three times the evaluations of `integrate` with these times; two host syncs. Raises: as `integrate`.
    Source: Richardson's extrapolation, E. Hairer, S. P. Nørsett and G. Wanner, "Solving Ordinary Differential Equations
    I", section II.4.
    """
    coarse = integrate(velocity, x, times, solver)
    middles = [(a + b) / 2 for a, b in itertools.pairwise(times)]
    halved = [t for pair in zip(times[:-1], middles, strict=True) for t in pair] + [times[-1]]
    fine = integrate(velocity, x, halved, solver)
    return Estimated(state=fine, error=(fine - coarse).abs() / (2**solver.order - 1))


def _refuse_bad(asked: list[tuple[int, float]], num_bad: list[int], num_elements: int, num_steps: int) -> None:
    for (step, time), num in zip(asked, num_bad, strict=True):
        if num:
            raise NonFiniteVelocity(
                f"the velocity held {num:,} of {num_elements:,} elements that are nan or inf in step {step} of "
                f"{num_steps} (counted from 0), at time {time:.9g}; all before were finite"
            )
