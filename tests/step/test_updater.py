"""Who updates, what is listed of it, and how an update is kept from having an effect."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import SGD

from evenkeel.step.updater import (
    ByHand,
    HiddenGradients,
    KeptParameters,
    Parameters,
    drop_gradients,
    gradients_of,
    withhold,
)
from evenkeel.step.updater import zero_gradients as fill_with_zeros


def test_parameters_are_listed_again_when_groups_change() -> None:
    """Added, replaced in place, or taken away."""
    first, second, third = (nn.Parameter(torch.ones(2)) for _ in range(3))
    optimizer = SGD([first], lr=0.1)
    known = Parameters(optimizer)
    assert known.are_plain
    optimizer.add_param_group({"params": [second]})
    assert [id(p) for p in known.present()] == [id(first), id(second)]
    optimizer.param_groups[1]["params"][0] = third
    assert known.present()[1] is third
    optimizer.param_groups[1]["params"] = [nn.Parameter(torch.ones(2, dtype=torch.float16))]
    known.present()
    assert not known.are_plain


def test_only_gradients_that_exist_are_listed() -> None:
    """Frozen and unused parameters have none."""
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    used.grad = torch.ones(2)
    known = Parameters(SGD([used, unused], lr=0.1))
    assert [id(g) for g in gradients_of(known.present())] == [id(used.grad)]
    assert [(id(p), id(g)) for p, g in known.with_gradient()] == [(id(used), id(used.grad))]


def test_update_by_hand_is_undone() -> None:
    """In place and through `.data`, the values of before are there again."""
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    withheld = withhold(ByHand([weight]))
    assert isinstance(withheld, KeptParameters)
    with torch.no_grad():
        weight -= 0.5
    weight.data = weight.data * float("nan")
    withheld.release()
    assert weight.tolist() == [1.0, 2.0]


def test_update_of_an_optimizer_is_hidden_from_it() -> None:
    """Its gradients are there again afterwards, the same objects."""
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    gradient = weight.grad
    optimizer = SGD([weight], lr=0.1)
    withheld = withhold(optimizer)
    assert isinstance(withheld, HiddenGradients)
    optimizer.step()
    withheld.release()
    assert weight.tolist() == [1.0, 1.0]
    assert weight.grad is gradient


def test_gradients_are_forgotten_as_the_loop_does() -> None:
    """To None or to zeros, in a new tensor, because somebody may look at the old one."""
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.full((2,), 7.0)
    seen = weight.grad
    fill_with_zeros([SGD([weight], lr=0.1)])
    assert weight.grad.tolist() == [0.0, 0.0]
    assert seen.tolist() == [7.0, 7.0]
    drop_gradients([SGD([weight], lr=0.1)])
    assert weight.grad is None
