"""What a gradient scaler does is heard, and held still when it must have no effect."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import SGD, AdamW
from torch.optim.swa_utils import AveragedModel

from evenkeel.step.hooks import listening
from evenkeel.step.scalers import judged_by_scaler, scale_after_refusal


def training(*, fused: bool) -> tuple[nn.Linear, Any, GradScaler]:
    """A model, an optimizer and a scaler at 1024."""
    model = nn.Linear(2, 1)
    optimizer = AdamW(model.parameters(), fused=True) if fused else SGD(model.parameters(), lr=0.1)
    return model, optimizer, GradScaler("cpu", init_scale=1024.0)


def step(model: nn.Linear, optimizer: Any, scaler: GradScaler, factor: float) -> None:  # noqa: ANN401  any optimizer
    """One iteration; an infinite factor makes the gradients bad."""
    loss = (model(torch.ones(1, 2)) * factor).sum()
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.parametrize(("factor", "told"), [(1.0, ["before", "after"]), (math.inf, ["refused"])])
def test_refused_update_is_told_instead_of_an_update(heard: Any, factor: float, told: list[str]) -> None:  # noqa: ANN401
    """The optimizer is not called then."""
    model, optimizer, scaler = training(fused=False)
    with listening(heard):
        step(model, optimizer, scaler, factor)
    assert [word for word in heard.words if word in {"before", "after", "refused"}] == told


def test_fused_optimizer_carries_the_verdict_of_the_scaler(
    heard: Any,  # noqa: ANN401  defined in conftest
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is called all the same; inside its step the verdict can be read, afterwards it is gone."""
    model, optimizer, scaler = training(fused=True)
    verdicts: list[float] = []
    monkeypatch.setattr(
        type(heard), "before_update", lambda _, updater: verdicts.append(float(judged_by_scaler(updater)))
    )
    with listening(heard):
        step(model, optimizer, scaler, 1.0)
        step(model, optimizer, scaler, math.inf)
    assert verdicts == [0.0, 1.0]
    assert judged_by_scaler(optimizer) is None


def test_loss_is_told_with_what_the_scaler_made_of_it(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """So that a number in a journal is the loss, not 1024 times it."""
    model, optimizer, scaler = training(fused=False)
    with listening(heard):
        step(model, optimizer, scaler, 1.0)
    _, loss, product = next(event for event in heard.events if event[0] == "scaled")
    assert product.item() == 1024.0 * loss.item()
    assert next(event for event in heard.events if event[0] == "backward")[1][0] is product


@pytest.mark.parametrize("fused", [False, True])
def test_scale_held_still_can_step_again(heard: Any, fused: bool) -> None:  # noqa: ANN401, FBT001  parametrised
    """Scale and count stay; the scaler is ready for the next step all the same."""
    model, optimizer, scaler = training(fused=fused)
    with listening(heard):
        step(model, optimizer, scaler, 1.0)
        before = scaler.state_dict()
        heard.still = True
        for factor in (math.inf, math.inf, 1.0):
            step(model, optimizer, scaler, factor)
        assert scaler.state_dict() == before
        heard.still = False
        step(model, optimizer, scaler, math.inf)
    assert scaler.get_scale() == 512.0


def test_scale_after_a_refusal_is_the_one_that_update_makes() -> None:
    """Told before `update()` is called."""
    model, optimizer, scaler = training(fused=False)
    scaler.scale(model(torch.ones(1, 2)).sum() * math.inf).backward()
    scaler.step(optimizer)
    expected = scale_after_refusal(scaler)
    scaler.update()
    assert scaler.get_scale() == expected == 512.0


def test_average_held_still_does_not_move(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """Neither its weights nor its count."""
    model = nn.Linear(2, 1)
    average = AveragedModel(model)
    with listening(heard):
        average.update_parameters(model)
        heard.still = True
        with torch.no_grad():
            model.weight.add_(1)
        average.update_parameters(model)
    assert int(average.n_averaged) == 1
    assert not torch.equal(average.module.weight, model.weight)
