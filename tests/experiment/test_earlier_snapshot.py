"""A state of some updates earlier: what goes back to it, what does not, and that nothing of it stays."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import StepLR

from evenkeel.experiment import earlier_snapshot
from evenkeel.experiment.earlier_snapshot import EarlierSnapshot
from evenkeel.step.living import living
from evenkeel.step.snapshot import RandomState
from evenkeel.step.window import HandOut

OPTIMIZERS = {
    "sgd momentum": lambda p: SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: Adam(p, lr=0.1),
    "adamw fused": lambda p: AdamW(p, lr=0.1, fused=True),
    "lbfgs": lambda p: LBFGS(p, lr=0.1),
}


@pytest.fixture(autouse=True)
def _without_those_of_other_tests() -> None:
    gc.collect()


def model_of() -> nn.Sequential:
    """With buffers, one of which is a view that cannot be written to."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    model.register_buffer("spread", torch.ones(1).expand(5))
    return model


def update(model: nn.Module, optimizer: Optimizer, times: int) -> None:
    """Steps on the same data."""
    x = torch.linspace(-1, 1, 24).reshape(8, 3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (model(x) - 5).square().mean()
        loss.backward()
        return loss

    for _ in range(times):
        optimizer.step(closure)


def bits(value: object) -> object:
    """All of a state, comparable."""
    if isinstance(value, Tensor):
        return value.detach().numpy().tobytes()
    if isinstance(value, dict):
        return {str(key): bits(item) for key, item in value.items()}
    return [bits(item) for item in value] if isinstance(value, list | tuple) else repr(value)


def state(model: nn.Module, optimizer: Optimizer) -> object:
    """Parameters, buffers and what the optimizer keeps."""
    return bits([model.state_dict(), optimizer.state_dict()["state"]])


@pytest.mark.parametrize("updates_before", [0, 3])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_all_goes_back_and_comes_again(make: Callable[..., Optimizer], updates_before: int) -> None:
    """To the bit, though steps are made meanwhile; before the first update an optimizer keeps nothing."""
    model = model_of()
    optimizer = make(model.parameters())
    update(model, optimizer, updates_before)
    earlier, change = state(model, optimizer), EarlierSnapshot(2)
    change.keep()
    update(model, optimizer, 2)
    later = state(model, optimizer)
    assert earlier != later
    with change.during():
        assert state(model, optimizer) == earlier
        update(model, optimizer, 2)
        assert state(model, optimizer) == later  # the same steps from the same state
        update(model, optimizer, 1)
    assert state(model, optimizer) == later
    assert change.took_effect


def test_what_moves_on() -> None:
    """Rates, schedules, gradients, random numbers and batches are those of the failing step."""
    model = model_of()
    optimizer = SGD(model.parameters(), lr=1.0)
    schedule, change = StepLR(optimizer, step_size=1), EarlierSnapshot(1)
    change.keep()
    update(model, optimizer, 1)
    schedule.step()
    gradients, drawn = bits([p.grad for p in model.parameters()]), torch.get_rng_state()
    with change.during():
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
        assert schedule.last_epoch == 1
        assert bits([p.grad for p in model.parameters()]) == gradients
        assert torch.equal(torch.get_rng_state(), drawn)
    hand_out = HandOut.of("source", [torch.arange(3.0)], RandomState.capture())
    assert change.batch(hand_out)[0].tolist() == [0.0, 1.0, 2.0]  # type: ignore[index]


@pytest.mark.parametrize(("later", "told"), [(3e19, "3e19"), (float("nan"), "NaN")])
def test_words(later: float, told: str) -> None:
    """How far it had gone, with a number that is not finite as it is; and no remedy."""
    model = nn.Linear(2, 1, bias=False)
    optimizer = SGD(model.parameters(), lr=1.0)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.5]]))
    change = EarlierSnapshot(4)
    change.keep()
    with torch.no_grad():
        model.weight[0, 0] = later
    with change.during():
        assert model.weight.tolist() == [[1.0, -2.5]]
    assert "as they stood 4 updates before" in change.changed
    assert f"(the largest trained parameter: 2.5 in the place of {told})" in change.changed
    assert change.remedy == ""
    assert change.edits == ()
    del optimizer


def test_what_an_optimizer_holds_outside_of_models() -> None:
    """Bare tensors; and one model that two names hold is written to once."""
    weight = torch.tensor([1.0], requires_grad=True)
    optimizer = SGD([weight], lr=1.0)
    change = EarlierSnapshot(1)
    change.keep()
    with torch.no_grad():
        weight += 1
    with change.during():
        assert weight.tolist() == [1.0]
    assert weight.tolist() == [2.0]
    assert "1 update before" in change.changed
    del optimizer


def test_when_nothing_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing moved, nothing was kept, or no optimizer makes the updates."""
    model = model_of()
    without_optimizer = EarlierSnapshot(1)
    with monkeypatch.context() as patch:  # other tests of this process may have left an optimizer alive
        patch.setattr(earlier_snapshot, "living", lambda kind: [] if kind is Optimizer else living(kind))
        without_optimizer.keep()
    optimizer = SGD(model.parameters(), lr=0.1)
    unmoved, not_kept = EarlierSnapshot(1), EarlierSnapshot(1)
    unmoved.keep()
    with unmoved.during():
        pass
    update(model, optimizer, 1)
    later = state(model, optimizer)
    for change in (without_optimizer, not_kept):
        with change.during():
            assert state(model, optimizer) == later
    assert not any(change.took_effect for change in (without_optimizer, unmoved, not_kept))


def test_what_holds_no_numbers_yet() -> None:
    """Lazy parameters, and models that are only a plan."""
    model, lazy = nn.Linear(2, 1), nn.LazyLinear(2)
    planned, optimizer = nn.Linear(2, 2, device="meta"), SGD(model.parameters(), lr=0.1)
    change = EarlierSnapshot(1)
    change.keep()
    lazy(torch.ones(1, 3))
    with torch.no_grad():
        model.bias += 1
    with change.during():
        assert lazy.weight.shape == (2, 3)
    assert change.took_effect
    assert planned.weight.is_meta
    del optimizer
