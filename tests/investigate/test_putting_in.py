"""What a capsule holds is put into living objects, or refused with the differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.lr_scheduler import StepLR

from evenkeel.capsule.thaw import StoredSchedule, StoredUpdater
from evenkeel.capsule.unpacking import ABSENT
from evenkeel.core.errors import UsageError
from evenkeel.investigate.putting_in import put_model, put_scaler, put_schedules, put_updater


def test_values_are_written_over_the_living_ones() -> None:
    """The tensors stay the same objects, and ask for gradients as before."""
    living = nn.Parameter(torch.zeros(2))
    assert put_model({"M[0].weight": torch.ones(2)}, {"M[0].weight": living}) == []
    assert living.tolist() == [1, 1]
    assert living.requires_grad


def test_another_model_is_refused_with_the_first_differences() -> None:
    """Three are named, the rest is counted, and nothing is written."""
    living: dict[str, Tensor] = {"M[0].a": torch.zeros(2), "M[0].b": torch.zeros(2), "M[0].new": torch.zeros(1)}
    stored = {"M[0].a": torch.ones(3), "M[0].b": torch.ones(2).double(), "M[0].gone": torch.ones(1)}
    with pytest.raises(UsageError) as refused:
        put_model(stored, living)
    text = str(refused.value)
    assert "M[0].a was float32 of shape [3] and is float32 of shape [2]" in text
    assert "M[0].b was float64 of shape [2] and is float32 of shape [2]" in text
    assert "M[0].gone is in the capsule only; and 1 more" in text
    assert "--from start" in text
    assert not any(tensor.any() for tensor in living.values())


def test_a_model_that_the_capsule_does_not_know_is_left_alone() -> None:
    """It may be left over, or unused; that it is there is said."""
    living = {"M[0].a": torch.zeros(1), "M[1].a": torch.zeros(1)}
    notes = put_model({"M[0].a": torch.ones(1)}, living)
    assert notes == ["M[1] is none of the capsule's models, and was left as it is"]
    assert (living["M[0].a"].item(), living["M[1].a"].item()) == (1, 0)


def optimizer() -> torch.optim.Optimizer:
    """Adam after an update."""
    weight = nn.Parameter(torch.ones(2))
    adam = torch.optim.Adam([weight], lr=0.1)
    weight.grad = torch.ones(2)
    adam.step()
    return adam


def stored(**given: Any) -> StoredUpdater:  # noqa: ANN401  any field
    """What a capsule knows of it."""
    fields: dict[str, Any] = {
        "kind": "Adam",
        "num_parameters": 1,
        "groups": ({"lr": 0.5, "unknown": 1, "params": "hostile", "eps": ABSENT},),
        "state": ((0, {"step": torch.tensor(9.0), "exp_avg": torch.zeros(2), "exp_avg_sq": torch.ones(2)}),),
        "other": {},
    }
    return StoredUpdater(**{**fields, **given})


def test_an_optimizer_gets_settings_and_state() -> None:
    """Only settings that it has; what the capsule lacks stays."""
    adam = optimizer()
    weight = adam.param_groups[0]["params"][0]
    put_updater(stored(), adam)
    group = adam.param_groups[0]
    assert (group["lr"], group["eps"], group["params"]) == (0.5, 1e-8, [weight])
    assert "unknown" not in group
    assert adam.state[weight]["step"].item() == 9
    assert adam.state[weight]["exp_avg_sq"].tolist() == [1, 1]


@pytest.mark.parametrize(
    "given",
    [{"kind": "SGD"}, {"num_parameters": 2}, {"groups": ()}, {"state": ((1, {}),)}],
    ids=lambda g: next(iter(g)),
)
def test_another_optimizer_is_refused(given: dict[str, Any]) -> None:
    """With both descriptions."""
    with pytest.raises(UsageError, match="the program's is Adam with 1 in 1"):
        put_updater(stored(**given), optimizer())


def test_schedules_stand_where_they_stood() -> None:
    """Only what a schedule's own state has; another list of schedules is left alone, and that is said."""
    adam = optimizer()
    schedule = StepLR(adam, 3)
    good = StoredSchedule(kind="StepLR", updater=0, state={"last_epoch": 7, "step": "hostile"})
    assert put_schedules([good], [schedule], [adam]) == ""
    assert schedule.last_epoch == 7
    assert callable(schedule.step)
    assert "were left alone" in put_schedules([good, good], [schedule], [adam])


def test_a_scaler_gets_its_scale() -> None:
    """A state of another form is left alone, and that is said."""
    scaler = GradScaler("cpu", init_scale=4.0)
    state = {**scaler.state_dict(), "scale": 64.0}
    assert put_scaler(state, scaler) == ""
    assert scaler.state_dict()["scale"] == 64.0
    assert "left alone" in put_scaler({**state, "scale": "many"}, scaler)
    assert "left alone" in put_scaler(None, scaler)
    assert put_scaler(None, None) == ""
    assert put_scaler({}, None) == ""
