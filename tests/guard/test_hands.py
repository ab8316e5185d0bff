"""Loops without an optimizer object are told from those with one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from evenkeel.guard import hands
from evenkeel.guard.hands import Hands
from evenkeel.tensors.graph import leaves_of


@pytest.fixture
def _no_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process may have left optimizers behind."""
    monkeypatch.setattr(hands, "_any_optimizer", lambda: False)


def test_leaves_are_found_once_each() -> None:
    """Through shared and repeated use, and not those that need no gradient."""
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    frozen = torch.ones(2)
    loss = (a * b * frozen + a).sum()
    assert {id(leaf) for leaf in leaves_of([loss])} == {id(a), id(b)}
    assert leaves_of([torch.ones(())]) == []


@pytest.mark.usefixtures("_no_optimizer")
def test_same_leaves_are_the_same_updater() -> None:
    """A functional style, with new leaves in each step, is another one each time."""
    model = nn.Linear(2, 1)
    found = Hands()
    losses = [model(torch.ones(1, 2)).sum() for _ in range(2)]
    updaters = []
    for loss in losses:
        loss.backward()
        updaters.append(found.updater_after([loss], (), None))
    assert updaters[0] is updaters[1] is not None
    assert {id(p) for p, _ in updaters[0].gradients} == {id(p) for p in model.parameters()}
    fresh = torch.ones(2, requires_grad=True)
    assert found.updater_after([], [fresh], [torch.zeros(2)]) is not updaters[0]


def test_living_optimizer_makes_the_updates() -> None:
    """Whatever its parameters are: sharded ones are not the leaves of the graph."""
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    loss = model(torch.ones(1, 2)).sum()
    loss.backward()
    assert Hands().updater_after([loss], (), None) is None
    assert optimizer.param_groups


@pytest.mark.usefixtures("_no_optimizer")
def test_leaf_whose_memory_is_gone_is_not_touched() -> None:
    """Gathered for a backward, freed after it."""
    weight = torch.ones(4, requires_grad=True)
    loss = weight.sum()
    loss.backward()
    weight.untyped_storage().resize_(0)
    assert Hands().updater_after([loss], (), None) is None
