from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from evenkeel.step.replay import Rewind
from evenkeel.step.snapshot import BufferCopy
from evenkeel.step.updater import HiddenGradients, drop_gradients
from evenkeel.step.window import Window

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "sgd": lambda p: SGD(p, lr=0.1),
    "sgd momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "sgd weight decay": lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "sgd foreach": lambda p: SGD(p, lr=0.1, momentum=0.9, foreach=True),
    "sgd fused": lambda p: SGD(p, lr=0.1, momentum=0.9, fused=True),
    "adam": lambda p: Adam(p, lr=0.1, amsgrad=True),
    "adam foreach": lambda p: Adam(p, lr=0.1, foreach=True),
    "adamw": lambda p: AdamW(p, lr=0.1, weight_decay=0.1),
    "adamw foreach": lambda p: AdamW(p, lr=0.1, foreach=True),
    "adamw fused": lambda p: AdamW(p, lr=0.1, fused=True),
    "adagrad": lambda p: Adagrad(p, lr=0.1),
    "rmsprop": lambda p: RMSprop(p, lr=0.1, momentum=0.9),
}


def model_and(name: str) -> tuple[nn.Module, Optimizer]:
    """A small model in two parameter groups, three healthy steps old."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = OPTIMIZERS[name]([model.weight, model.bias])
    for _ in range(3):
        backward(model)
        optimizer.step()
    return model, optimizer


def backward(model: nn.Module) -> None:
    """Fill the gradients."""
    model.zero_grad()
    model(torch.rand(4, 3)).square().mean().backward()


def bits(model: nn.Module, optimizer: Optimizer) -> list[tuple[Any, ...]]:
    """Every tensor of model and optimizer state, its bits and place, and every plain value."""
    state = [(k, v) for p in model.parameters() for k, v in optimizer.state.get(p, {}).items()]
    plain = [(k, v) for g in optimizer.param_groups for k, v in g.items() if k != "params"]
    return [
        (name, v.data_ptr(), v.detach().numpy().tobytes()) if isinstance(v, Tensor) else (name, v)
        for name, v in [*model.named_parameters(), *state, *plain]
    ]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_withheld_update_leaves_every_bit(name: str) -> None:
    """Parameters, moments and step counts are those of before, and the optimizer's step still returns."""
    model, optimizer = model_and(name)
    backward(model)
    before = bits(model, optimizer)
    assert len(before) > 2
    withheld = HiddenGradients(optimizer)
    optimizer.step()
    withheld.release()
    assert bits(model, optimizer) == before


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_run_with_a_withheld_update_equals_the_run_without_that_step(name: str) -> None:
    """A step that was withheld leaves no trace in the steps that follow."""
    model, optimizer = model_and(name)
    other, other_optimizer = model_and(name)
    torch.manual_seed(5)
    backward(model)
    withheld = HiddenGradients(optimizer)
    optimizer.step()
    withheld.release()
    for each, its in ((model, optimizer), (other, other_optimizer)):
        torch.manual_seed(6)
        backward(each)
        its.step()
    mine, twin = model.state_dict(), other.state_dict()
    assert all(torch.equal(mine[k], twin[k]) for k in twin)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_update_that_is_not_withheld_changes_bits(name: str) -> None:
    """The twin of the two tests above: the comparison can fail."""
    model, optimizer = model_and(name)
    backward(model)
    before = bits(model, optimizer)
    optimizer.step()
    assert bits(model, optimizer) != before


def test_released_gradients_are_the_same_tensors() -> None:
    """A loop that looks at the gradients after the step sees what it computed."""
    model, optimizer = model_and("adam")
    model.bias.grad = None
    gradient = model.weight.grad
    withheld = HiddenGradients(optimizer)
    assert model.weight.grad is None
    withheld.release()
    assert model.weight.grad is gradient
    assert model.bias.grad is None


def test_releasing_twice_changes_nothing() -> None:
    """A second release must not bring back gradients that were cleared since."""
    model, optimizer = model_and("sgd")
    withheld = HiddenGradients(optimizer)
    withheld.release()
    model.weight.grad = None
    withheld.release()
    assert model.weight.grad is None


def test_gradients_are_forgotten_as_at_the_beginning_of_a_step() -> None:
    """Gradients of every optimizer become None, not zero."""
    model, optimizer = model_and("sgd")
    other, second = model_and("adam")
    drop_gradients([optimizer, second])
    assert all(p.grad is None for m in (model, other) for p in m.parameters())


def window_of(*hand_outs: tuple[str, object]) -> Window:
    """A window with these batches, all used."""
    window = Window()
    for source, batch in hand_outs:
        window.handed_out(source, batch)
    window.backward_began()
    return window


def some_optimizer() -> Optimizer:
    """Whichever."""
    return SGD([nn.Parameter(torch.ones(1))], lr=0.1)


def rewind_of(window: Window, position: int = 0) -> Rewind:
    """A rewind for the step of some optimizer."""
    return Rewind(some_optimizer(), position, window, BufferCopy())


def test_two_sources_come_again_each_in_its_own_order() -> None:
    """A labelled and an unlabelled loader, asked in another order than before."""
    rewind = rewind_of(window_of(("a", [1]), ("b", [10]), ("a", [2]), ("b", [20])))
    asked = [rewind.next_batch(source) for source in ("b", "a", "b", "a")]
    assert [h.batch for h in asked if h] == [[10], [1], [20], [2]]
    assert not rewind.overrun


def test_unknown_source_fetches_afresh() -> None:
    """An evaluation loop that runs between the step and its replay takes its own batches."""
    rewind = rewind_of(window_of(("a", [1])))
    assert rewind.next_batch("eval") is None
    assert not rewind.overrun
    assert not rewind.began
    assert rewind.next_batch("a") is not None
    assert rewind.began


def test_asking_for_more_than_was_consumed_is_an_overrun() -> None:
    """The loop took another way than before: the replay is not the same step."""
    rewind = rewind_of(window_of(("a", [1])))
    assert rewind.next_batch("a") is not None
    assert rewind.next_batch("a") is None
    assert rewind.overrun


def test_step_without_batches_begins_at_once() -> None:
    """A loop over its whole data has nothing to be handed out."""
    assert rewind_of(Window()).began
    assert not rewind_of(window_of(("a", [1]))).began


def test_rewind_is_impossible_when_the_loop_wrote_into_a_batch() -> None:
    """One written batch is enough."""
    batch = torch.ones(2)
    rewind = rewind_of(window_of(("a", torch.ones(2)), ("a", batch)))
    assert rewind.possible
    batch.add_(1)
    assert not rewind.possible


def test_failing_update_is_told_from_those_before_it() -> None:
    """The third update of the step, by the optimizer that failed."""
    failing, other = some_optimizer(), some_optimizer()
    window = window_of(("a", [1]))
    rewind = Rewind(failing, 2, window, BufferCopy())
    assert not rewind.arrives(other)
    rewind.passed += 1
    assert not rewind.arrives(failing)
    rewind.passed += 1
    assert not rewind.arrives(other)
    assert rewind.arrives(failing)


def test_put_back_restores_random_states_and_buffers() -> None:
    """Dropout and batch norm see what they saw."""
    norm = nn.BatchNorm1d(2)
    buffers = BufferCopy()
    buffers.watch(norm.buffers())
    rewind = Rewind(some_optimizer(), 0, Window(), buffers)
    before = copy.deepcopy(norm.state_dict())
    drawn = torch.rand(3)
    norm(torch.rand(4, 2))
    rewind.put_back()
    assert torch.rand(3).tolist() == drawn.tolist()
    assert all(torch.equal(norm.state_dict()[k], v) for k, v in before.items())
