"""Names and order that another run of the same program gives too."""

from __future__ import annotations

import gc

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from evenkeel.guard.belongings import FirstLook, layout_of, names_in_capsules, schedules_of, tensors_by_name


def pair() -> tuple[nn.Linear, nn.Linear, torch.optim.Optimizer]:
    """Two models of one class, and an optimizer that has the second one's parameters first."""
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    return first, second, torch.optim.SGD([*second.parameters(), *first.parameters()], lr=0.1)


def test_models_come_in_the_order_of_the_optimizer() -> None:
    """Not in the one in which somebody found them."""
    first, second, optimizer = pair()
    for roots in ((first, second), (second, first)):
        found = tensors_by_name([*roots, nn.MSELoss()], [optimizer])
        assert list(found) == ["Linear[0].weight", "Linear[0].bias", "Linear[1].weight", "Linear[1].bias"]
        assert found["Linear[0].weight"] is second.weight


def test_parameters_outside_of_models_have_names_too() -> None:
    """By the updater's number and their place; those of a model keep its name."""
    model, loose = nn.Linear(2, 1, bias=False), nn.Parameter(torch.ones(2))
    found = tensors_by_name(
        [model], [torch.optim.SGD([model.weight], lr=1), torch.optim.SGD([model.weight, loose], lr=1)]
    )
    assert list(found) == ["Linear[0].weight", "updater[1].params[1]"]
    assert found["updater[1].params[1]"] is loose


def test_tied_weights_are_one() -> None:
    """Under the name that they have first; buffers count too."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2, affine=False), nn.Linear(2, 2, bias=False))
    model[2].weight = model[0].weight
    found = tensors_by_name([model], [])
    assert list(found) == [
        f"Sequential[0].{name}" for name in ("0.weight", "1.running_mean", "1.running_var", "1.num_batches_tracked")
    ]


def test_names_of_the_loop_and_of_the_capsule() -> None:
    """Each name of the loop leads to one of the capsule."""
    first, second, optimizer = pair()
    found = tensors_by_name([first, second], [optimizer])
    assert names_in_capsules(found, lambda t: "one" if t is second.weight else "other")["one"] == "Linear[0].weight"


def test_a_model_that_changed_is_noticed() -> None:
    """Its dtype, its shapes, another model; not that it is another object."""
    models: list[nn.Module] = [nn.Linear(2, 2), nn.BatchNorm1d(2)]
    look = FirstLook(lambda: models, lambda: models)
    assert look() is models
    assert look.is_still_true()
    models.reverse()
    assert look.is_still_true()
    models.append(nn.ReLU())
    assert look.is_still_true()
    for change in (nn.Linear(2, 3), nn.Linear(2, 2).double()):
        models[1] = change
        assert not look.is_still_true()
    models[1:] = [nn.Linear(2, 2), nn.Linear(2, 2)]
    assert not look.is_still_true(), "there is a second one now"
    models[1:] = []
    assert look.is_still_true(), "one that is gone decides about nothing"


def test_a_lazy_model_may_take_any_shape() -> None:
    """It has none when it is looked at first."""
    model = nn.Sequential(nn.LazyLinear(2), nn.Linear(2, 1))
    look = FirstLook(list, lambda: [model])
    look()
    model(torch.ones(1, 3))
    assert "torch.float32 (2, 3)" in {entry[2] for entry in layout_of([model])}
    assert look.is_still_true()
    model[1] = nn.Linear(2, 2)
    assert not look.is_still_true()


def test_schedules_are_those_of_the_updaters() -> None:
    """By updater and class; somebody else's are not among them."""
    _, _, optimizer = pair()
    _, _, other = pair()
    _, _, stranger = pair()
    schedules = [StepLR(other, 1), StepLR(optimizer, 1), ReduceLROnPlateau(optimizer)]
    foreign = StepLR(stranger, 1)
    assert schedules_of([optimizer, other]) == (schedules[2], schedules[1], schedules[0])
    assert foreign not in schedules_of([optimizer])
    gc.collect()
