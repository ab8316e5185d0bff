"""An update that was only tried leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam, AdamW, NAdam, Optimizer, RMSprop

from evenkeel.step.kept import KeptUpdate
from evenkeel.step.updater import ByHand

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "sgd": lambda p: SGD(p, lr=0.1),
    "sgd momentum": lambda p: SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: Adam(p, lr=0.1, amsgrad=True),
    "adam, rate in a tensor": lambda p: Adam(p, lr=torch.tensor(0.1), foreach=False),
    "adamw fused": lambda p: AdamW(p, lr=0.1, fused=True),
    "nadam": lambda p: NAdam(p, lr=0.1),
    "rmsprop": lambda p: RMSprop(p, lr=0.1, momentum=0.9, centered=True),
    "lbfgs": lambda p: LBFGS(p, lr=0.1),
}


def update(model: nn.Module, optimizer: Optimizer) -> None:
    """One step on the same data each time."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model(torch.ones(4, 3)).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]  # of every optimizer


def everything(model: nn.Module, optimizer: Optimizer) -> list[Any]:
    """Bits and identity of every tensor, and every plain value."""
    told: list[Any] = []

    def tell(name: str, value: object) -> None:
        if isinstance(value, Tensor):
            told.append((name, id(value), value.detach().numpy().tobytes()))
        elif isinstance(value, dict):
            for key, item in value.items():
                tell(f"{name}.{key if isinstance(key, str) else id(key)}", item)
        elif isinstance(value, list | tuple):
            for position, item in enumerate(value):
                tell(f"{name}.{position}", item)
        else:
            told.append((name, value))

    tell("parameters", list(model.parameters()))
    tell("state", dict(optimizer.state))
    tell("groups", optimizer.param_groups)
    return told


@pytest.mark.parametrize("num_before", [0, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_update_is_taken_back(name: str, num_before: int) -> None:
    """Before the first step, where state does not exist yet, and later; twice from one copy."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = OPTIMIZERS[name]([model.weight, model.bias])
    for _ in range(num_before):
        update(model, optimizer)
    before = everything(model, optimizer)
    kept = KeptUpdate(optimizer)
    for _ in range(2):
        update(model, optimizer)
        optimizer.param_groups[0]["weight_decay"] = 0.5
        assert everything(model, optimizer) != before
        kept.put_back()
        assert everything(model, optimizer) == before


def test_training_goes_on_as_if_nothing_had_been_tried() -> None:
    """Three updates, one tried, two more: the bits of five."""
    ends = []
    for tries in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = NAdam(model.parameters(), lr=0.1)
        for step in range(5):
            if tries and step == 3:
                kept = KeptUpdate(optimizer)
                update(model, optimizer)
                kept.put_back()
            update(model, optimizer)
        ends.append([p.detach().numpy().tobytes() for p in model.parameters()])
    assert ends[0] == ends[1]


def test_state_that_goes_bad_is_noticed() -> None:
    """Only what the update made: state that was bad before says nothing of it."""
    model = nn.Linear(3, 2)
    optimizer = Adam(model.parameters(), lr=0.1)
    update(model, optimizer)
    kept = KeptUpdate(optimizer)
    update(model, optimizer)
    assert not kept.state_went_bad
    optimizer.state[model.weight]["exp_avg_sq"].fill_(torch.inf)
    assert kept.state_went_bad
    assert not KeptUpdate(optimizer).state_went_bad
    kept.put_back()
    assert not kept.state_went_bad


def test_update_by_hand() -> None:
    """There is no state but the parameters."""
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    kept = KeptUpdate(ByHand([weight]))
    with torch.no_grad():
        weight -= 1
    kept.put_back()
    assert weight.tolist() == [1.0, 2.0]
