"""Changes of a line or two: each is in force while it lasts, and leaves nothing behind."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from evenkeel.experiment.clipped_gradients import ClippedGradients
from evenkeel.experiment.eager import Eager
from evenkeel.experiment.filled_memory import FilledMemory
from evenkeel.experiment.initialised import Initialised, InitialisedAtStart
from evenkeel.experiment.left_out import LeftOut
from evenkeel.experiment.smaller_step import SmallerStep
from evenkeel.experiment.unchanged import Unchanged
from evenkeel.step.snapshot import RandomState
from evenkeel.step.window import HandOut


def updated(model: nn.Linear, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """What one update with a gradient of 3, 4 does to a weight of 0, 0."""
    with torch.no_grad():
        model.weight.zero_()
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    optimizer.step()
    return model.weight.detach().clone()


@pytest.fixture
def pair() -> tuple[nn.Linear, torch.optim.Optimizer]:
    """A weight and plain descent with a rate of 1."""
    model = nn.Linear(2, 1, bias=False)
    return model, torch.optim.SGD(model.parameters(), lr=1.0)


def test_smaller_step(pair: tuple[nn.Linear, torch.optim.Optimizer]) -> None:
    """A tenth, and the rate that a schedule reads is the program's own."""
    model, optimizer = pair
    with SmallerStep(0.1).during():
        assert updated(model, optimizer).tolist() == [pytest.approx([-0.3, -0.4])]
        assert optimizer.param_groups[0]["lr"] == 1.0
    assert updated(model, optimizer).tolist() == [[-3.0, -4.0]]


def test_clipped_gradients(pair: tuple[nn.Linear, torch.optim.Optimizer]) -> None:
    """A norm of 5 becomes one of 1."""
    model, optimizer = pair
    with ClippedGradients(1.0).during():
        assert updated(model, optimizer).tolist() == [pytest.approx([-0.6, -0.8], rel=1e-5)]
    assert updated(model, optimizer).tolist() == [[-3.0, -4.0]]


def test_step_left_out(pair: tuple[nn.Linear, torch.optim.Optimizer]) -> None:
    """The first update is not made, the second is."""
    model, optimizer = pair
    change = LeftOut()
    assert not change.took_effect
    with change.during():
        assert updated(model, optimizer).tolist() == [[0.0, 0.0]]
        assert updated(model, optimizer).tolist() == [[-3.0, -4.0]]
    assert change.took_effect


def test_parameters_that_are_bad_are_drawn() -> None:
    """Only these, the same each time, and their values come back; the program's random numbers are not touched."""
    bad, good = torch.full((3, 2), torch.nan), torch.ones(2)
    change = Initialised.of([("bad", bad), ("good", good)])
    assert change is not None
    assert change.names == ("bad",)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    drawn = []
    for _ in range(2):
        with change.during():
            drawn.append(bad.clone())
        assert bad.isnan().all()
    assert torch.equal(drawn[0], drawn[1])
    assert drawn[0].abs().max() <= 2**-0.5
    assert torch.equal(torch.get_rng_state(), before)
    assert "bad" in change.remedy
    assert Initialised.of([("good", good)]) is None


def test_direction_of_nothing() -> None:
    """A weight of zeros under weight_norm has no direction; any other weight may be 0."""
    layer = nn.Linear(2, 2)
    nn.init.zeros_(layer.weight)
    assert Initialised.of(list(layer.named_parameters())) is None
    normed = parametrizations.weight_norm(layer)
    change = Initialised.of(list(normed.named_parameters()))
    assert change is not None
    assert change.names == ("parametrizations.weight.original1",)
    with change.during():
        assert normed(torch.ones(1, 2)).isfinite().all()
    assert "direction" in change.remedy


def test_parameters_are_found_when_the_first_module_is_called() -> None:
    """On a run from the start there are none before."""
    change = InitialisedAtStart()
    with change.during():
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        with torch.no_grad():
            model[1].weight.fill_(torch.nan)
        assert not change.took_effect
        assert model(torch.ones(1, 2)).isfinite().all()
    assert change.took_effect
    assert "1.weight" in change.changed
    assert "1.weight" in change.remedy
    assert model[1].weight.isnan().all()


def test_parameters_that_are_all_right_are_left_alone() -> None:
    """Nothing was learnt."""
    gc.collect()  # models of other tests
    change = InitialisedAtStart()
    with change.during():
        nn.Linear(2, 2)(torch.ones(1, 2))
    assert not change.took_effect
    assert change.remedy == ""


def test_filled_memory() -> None:
    """torch.empty gives NaN while it lasts."""
    was = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    with FilledMemory().during():
        assert torch.empty(1000).isnan().all()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory == was  # type: ignore[attr-defined]


def test_eager() -> None:
    """Compiled code does not run."""
    calls: list[bool] = []

    @torch.compile(backend="eager")
    def double(x: torch.Tensor) -> torch.Tensor:
        calls.append(torch.compiler.is_compiling())
        return x * 2

    double(torch.ones(1))
    calls.clear()
    with Eager().during():
        double(torch.ones(1))
    assert calls == [False]


def test_batches_come_as_they_were() -> None:
    """Of every change that is about something else."""
    hand_out = HandOut.of("source", [torch.arange(3.0)], RandomState.capture())
    for change in (Unchanged(), FilledMemory(), Eager(), LeftOut(), SmallerStep(0.1), ClippedGradients(1.0)):
        assert change.batch(hand_out)[0].tolist() == [0.0, 1.0, 2.0]  # type: ignore[index]
