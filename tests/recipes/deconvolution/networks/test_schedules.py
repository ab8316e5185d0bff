"""The step size goes where its name says."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evenkeel_recipes.deconvolution.networks.schedules import PATIENCE, SCHEDULES


def scheduled(name: str, steps: int) -> Any:  # noqa: ANN401  a dictionary of Lightning's, of one of two types
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    return SCHEDULES[name](optimizer, steps)


def test_a_constant_has_nothing_that_changes_it() -> None:
    assert set(scheduled("constant", 4)) == {"optimizer"}


def test_a_cosine_ends_at_0_after_the_last_update() -> None:
    made, found = scheduled("cosine", 4), []
    assert made["lr_scheduler"]["interval"] == "step"
    for _ in range(4):
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
        found.append(made["optimizer"].param_groups[0]["lr"])
    assert found == pytest.approx([0.25 * (1 + 2**-0.5), 0.25, 0.25 * (1 - 2**-0.5), 0], abs=1e-12)


def test_a_plateau_halves_what_gets_no_better() -> None:
    made, found = scheduled("plateau", 4), []
    assert made["lr_scheduler"]["interval"] == "epoch"
    for loss in [3.0, 2.0, *[2.0] * (PATIENCE + 1), 1.0]:
        made["lr_scheduler"]["scheduler"].step(loss)
        found.append(made["optimizer"].param_groups[0]["lr"])
    assert found == [*[0.5] * (2 + PATIENCE), 0.25, 0.25]
