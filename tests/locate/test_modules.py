from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evenkeel.locate.modules import Names, RunningModule, living_roots


def test_living_roots_are_models_without_their_parts() -> None:
    """A model is found once, its layers are not; a dropped one is gone."""
    gc.collect()
    before = {id(m) for m in living_roots()}
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    criterion = nn.MSELoss()
    found = {id(m) for m in living_roots()} - before
    assert found == {id(model), id(criterion)}
    known = found
    del model, criterion
    gc.collect()
    assert not known & {id(m) for m in living_roots()}


def test_tensors_have_dotted_names() -> None:
    """Parameters and buffers of one root are named as in its state dict."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.BatchNorm1d(3)))
    names = Names([model])
    assert names.of_tensor(model[1][0].weight) == "1.0.weight"
    assert names.of_tensor(model[1][0].running_mean) == "1.0.running_mean"
    assert names.of_tensor(torch.ones(2)) is None
    named: dict[str | None, Tensor] = {names.of_tensor(t): t for t in [*names.parameters(), *names.buffers()]}
    assert set(named) == set(model.state_dict())


def test_several_roots_are_told_apart_by_class() -> None:
    """A generator and a discriminator may have the same inner names."""
    first, second = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2))
    names = Names([first, second])
    assert names.of_tensor(first.weight) == "Linear.weight"
    assert names.of_tensor(second[0].weight) == "Sequential.0.weight"
    assert names.of_module(second[0]) == "Sequential.0"


def test_modules_have_paths() -> None:
    """Roots and strangers are called by their class."""
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))
    names = Names([model])
    assert names.of_module(model[1][0]) == "1.0"
    assert names.of_module(model) == "Sequential"
    assert names.of_module(nn.GELU()) == "GELU"


def test_shared_tensors_have_their_first_name_and_are_given_once() -> None:
    """Tied weights and buffers."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[1].weight = model[0].weight
    model.append(model[2])
    names = Names([model, nn.Sequential(model[2])])
    assert names.of_tensor(model[1].weight) == "Sequential[0].0.weight"
    buffers = list(names.buffers())
    assert len({id(b) for b in buffers}) == len(buffers) == 3


def test_running_module_is_the_innermost_one() -> None:
    """Before, inside, between and after."""
    seen: list[tuple[str, str]] = []

    class Noted(nn.Module):
        def __init__(self, inner: nn.Module | None = None) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            seen.append(("in", running.path()))
            y = x if self.inner is None else self.inner(x)
            seen.append(("out", running.path()))
            return y

    model = nn.Sequential(Noted(), Noted(Noted()))
    running = RunningModule(Names([model]))
    with running.following():
        assert running.path() == ""
        model(torch.ones(1))
        assert running.path() == ""
    assert seen == [("in", "0"), ("out", "0"), ("in", "1"), ("in", "1.inner"), ("out", "1.inner"), ("out", "1")]


def test_exception_inside_a_forward_leaves_no_module_running() -> None:
    """A script may catch the error and go on."""

    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ArithmeticError(f"planted at {x}")

    model = nn.Sequential(nn.Identity(), Failing())
    running = RunningModule(Names([model]))
    with running.following():
        with pytest.raises(ArithmeticError, match="planted"):
            model(torch.ones(1))
        assert running.path() == ""


def test_following_removes_its_hooks() -> None:
    """Afterwards no module is followed."""
    seen: list[Any] = []
    model = nn.Identity()
    running = RunningModule(Names([model]))
    with running.following():
        pass
    model.register_forward_hook(lambda *_: seen.append(running.path()))
    model(torch.ones(1))
    assert seen == [""]
