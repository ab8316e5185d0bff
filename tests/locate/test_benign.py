from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from evenkeel.locate.origin import benign

Play = Callable[..., Any]
INF = float("inf")


def harmless(played: Any) -> list[str]:  # noqa: ANN401  what the fixture plays
    """The functions of what did no harm."""
    return [operation.function for operation in benign(played.trace, played.sighting.tensors)]


def test_bad_values_that_reach_no_symptom_are_listed(play: Play) -> None:
    """A mask that softmax absorbs, a branch not taken, a result thrown away; what leads to the loss is none of them."""
    model, x = nn.Linear(3, 3), torch.rand(4, 3) + 1
    hidden = torch.ones(4, 4, dtype=torch.bool).triu(1)

    def forward() -> Tensor:
        weights = (model(x) @ x.T).masked_fill(hidden, -INF).softmax(-1)
        torch.sqrt(-x)
        chosen = torch.where(x > 0, x, torch.log(x - x))
        return (weights @ chosen).mean() / torch.acos(x).sum()  # planted

    played = play(forward, model=model, batch=[x])
    assert played.located.origin.operation.function == "acos"
    assert harmless(played) == ["masked_fill", "sqrt", "log"]


def test_without_a_symptom_all_is_benign(play: Play) -> None:
    """Nothing that was bad came through."""
    model, x = nn.Linear(3, 3), torch.rand(4, 3) + 1

    def forward() -> Tensor:
        torch.log(x - x)
        return model(x).mean()

    played = play(forward, model=model, batch=[x])
    assert played.sighting is None
    assert [operation.function for operation in benign(played.trace, [])] == ["log"]
