"""Runs that go bad in one known way that is no single operation's fault: data, state, dynamics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from tests.grid.fault import THREE
from tests.grid.models import MODELS
from tests.grid.repeated import GROWING, STEEP
from tests.grid.wrapped import Flipping, Standardised, Taught, compiled_classifier, compiled_distance, frozen
from torch import Tensor, nn

FEW = {name: MODELS[name] for name in THREE}
Batches = list[tuple[Tensor, Tensor]]
Loss = Callable[[nn.Module, Tensor], Tensor]


def nothing(_net: nn.Module, _step: int) -> None:
    """The loop does nothing of its own between steps."""


def unspoiled(_batches: Batches) -> None:
    """The batches are right."""


def ordinary(net: nn.Module, x: Tensor) -> Tensor:
    """A regression on the mean of the sample."""
    return (net(x).float() - x.mean(dim=1)).square().mean()


def fourth_power(net: nn.Module, x: Tensor) -> Tensor:
    """A loss that grows fast with the weights, whatever bounds the output of the model."""
    size = torch.stack([p.float().square().mean() for p in net.parameters()]).sum()
    return net(x).float().mean() * size.square()


def distilled(net: nn.Module, x: Tensor) -> Tensor:
    """The distance between student and teacher."""
    return (net(x).float() - net.teacher(x).float()).square().mean()


def spoiled_teacher(net: nn.Module, step: int) -> None:
    """The average takes in a bad value after step 3."""
    if step == 3:
        with torch.no_grad():
            next(net.teacher.parameters()).view(-1)[0] = torch.nan


def weighted(net: nn.Module, x: Tensor) -> Tensor:
    """A loss whose gradient is as large as the sixth feature of the first sample."""
    return fourth_power(net, x) * x[0, 5].square()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run, what goes wrong in it, and what is to be said."""

    name: str
    cause: str
    phase: str
    step: int | None  # None: it depends on the model
    loss: Loss = ordinary
    spoil: Callable[[Batches], None] = unspoiled
    after: Callable[[nn.Module, int], None] = nothing  # called after each step; -1: before the first
    models: Mapping[str, Callable[[], nn.Module]] = field(default_factory=lambda: MODELS)
    build: Callable[[nn.Module], nn.Module] = lambda model: model
    clip: float | None = None
    rate: float = 1e-3
    samples: tuple[int, ...] | None = None  # None: not a matter of samples
    comes_again: bool = True  # what a step wrote into its own parameters is not undone


def value_of_sample(value: float) -> Callable[[Batches], None]:
    """One feature of the second sample of the third batch."""

    def spoil(batches: Batches) -> None:
        batches[2][0][1, 3] = value

    return spoil


def heavy_sample(step: int, value: float) -> Callable[[Batches], None]:
    """What weighs the loss is 1 in every batch but one."""

    def spoil(batches: Batches) -> None:
        for x, _ in batches:
            x[0, 5] = 1.0
        batches[step][0][0, 5] = value

    return spoil


def never_filled(net: nn.Module, step: int) -> None:
    """One parameter holds what lay in memory; filled with NaN, as torch does where it is to be deterministic."""
    if step == -1:
        with torch.no_grad():
            next(net.parameters()).fill_(torch.nan)


def spoiled_parameter(at: int) -> Callable[[nn.Module, int], None]:
    """The loop itself writes a NaN into one weight."""

    def after(net: nn.Module, step: int) -> None:
        if step == at:
            with torch.no_grad():
                next(net.parameters()).view(-1)[0] = torch.nan

    return after


def squared(net: nn.Module, x: Tensor) -> Tensor:
    """The energy of the sample, weighted."""
    return (net(x).float() * x.square().mean(dim=1)).mean()


def spoiled_statistics(net: nn.Module, step: int) -> None:
    """The loop itself writes a NaN into the running variance."""
    if step == 1:
        net.norm.running_var[2] = torch.nan


def longer(net: nn.Module, step: int) -> None:
    """From step 2 on the sequences are long."""
    if step == 1:
        net.num_repetitions = 60


def small(net: nn.Module, x: Tensor) -> Tensor:
    """A loss that no large state overflows."""
    return net(x).float().abs().log1p().mean()


def energy(net: nn.Module, x: Tensor) -> Tensor:
    """The square of what comes out."""
    return net(x).float().square().mean()


def flipped_output(net: nn.Module, step: int) -> None:
    """It happens in step 2, and not when step 2 comes again."""
    net.flips_output = step == 1


def flipped_gradient(net: nn.Module, step: int) -> None:
    """The same in backward."""
    net.flips_gradient = step == 1


def likelihood(net: nn.Module, x: Tensor) -> Tensor:
    """Every sample is of the first class."""
    return -net(x)[:, 0].mean()


def average(net: nn.Module, x: Tensor) -> Tensor:
    """The mean of what comes out."""
    return net(x).mean()


RUNS = [
    Run(name="NaN", cause="nonfinite_input", phase="data", step=2, spoil=value_of_sample(torch.nan), samples=(1,)),
    Run(name="inf", cause="nonfinite_input", phase="data", step=2, spoil=value_of_sample(torch.inf), samples=(1,)),
    Run(
        name="outlier", cause="outlier_input", phase="forward", step=2, loss=squared, samples=(1,),
        spoil=value_of_sample(3.7e25),
    ),
    Run(
        name="missing value", cause="missing_value_code", phase="forward", step=2, loss=squared, samples=(1,),
        spoil=value_of_sample(9.969209968386869e36),
    ),
    Run(name="uninitialised", cause="uninitialised_parameter", phase="state", step=0, after=never_filled),
    Run(name="loaded", cause="loaded_bad", phase="state", step=0, after=spoiled_parameter(-1)),
    Run(
        name="spoiled", cause="state_already_bad", phase="state", step=2, after=spoiled_parameter(1),
        comes_again=False,
    ),
    Run(
        name="average", cause="poisoned_average", phase="state", step=4, loss=distilled, build=Taught,
        after=spoiled_teacher,
    ),
    Run(
        name="spike", cause="gradient_spike", phase="forward", step=9, loss=weighted, spoil=heavy_sample(8, 1e9),
        clip=1e30, rate=1e-6,
    ),
    Run(
        name="infinite norm", cause="clip_by_infinite_norm", phase="optimizer", step=8, loss=weighted,
        spoil=heavy_sample(8, 3e11), clip=1.0,
    ),
    Run(name="too large", cause="step_too_large", phase="forward", step=None, loss=fourth_power, rate=1e3),
    Run(
        name="variance beyond float32", cause="poisoned_buffer", phase="forward", step=2, models=FEW, loss=energy,
        build=Standardised, spoil=value_of_sample(1e25),
    ),
    Run(
        name="statistics", cause="poisoned_buffer", phase="state", step=2, models=FEW, build=frozen,
        after=spoiled_statistics,
    ),
    Run(
        name="growing state", cause="recurrent_growth", phase="forward", step=2, models=GROWING, loss=small,
        after=longer, rate=1e-12,
    ),
    Run(
        name="growing gradient", cause="recurrent_growth", phase="backward", step=2, models=STEEP, loss=energy,
        after=longer, rate=1e-14,
    ),
    Run(
        name="flipped bit", cause="not_reproduced", phase="forward", step=2, models=FEW, build=Flipping,
        after=flipped_output, comes_again=False,
    ),
    Run(
        name="flipped bit in backward", cause="not_reproduced", phase="backward", step=2, models=FEW,
        build=Flipping, after=flipped_gradient, comes_again=False,
    ),
    Run(
        name="compiled", cause="compiled_only", phase="forward", step=2, models=FEW,
        build=compiled_classifier, loss=likelihood, spoil=value_of_sample(1e3),
    ),
    Run(
        name="compiled backward", cause="compiled_only", phase="backward", step=2, models=FEW,
        build=compiled_distance, loss=average, spoil=value_of_sample(0.0),
    ),
]  # fmt: skip
