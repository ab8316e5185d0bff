"""Clipping is told before it multiplies, with the norm that torch took and of what it took it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evenkeel.step.hooks import clipping_heard


def model_with_gradients() -> nn.Linear:
    """Two parameters."""
    model = nn.Linear(2, 1)
    model(torch.ones(3, 2)).square().sum().backward()
    return model


def test_norm_comes_with_the_gradients_it_was_taken_of(
    heard: Any,  # noqa: ANN401  defined in conftest
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The very tensors, untouched so far, also when parameters come from a generator."""
    model = model_with_gradients()
    before = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    seen: list[bool] = []

    def look(_: object, parameters: Any, norm: Tensor, normed: Any) -> None:  # noqa: ANN401  as the listener is told
        same = [id(p) for p in parameters] == [id(p) for p in model.parameters()]
        same = same and [id(g) for g in normed] == [id(p.grad) for p in parameters]
        untouched = all(torch.equal(p.grad, b) for p, b in zip(parameters, before, strict=True))
        seen.append(same and untouched and norm.item() > 0)

    monkeypatch.setattr(type(heard), "clipping", look)
    with clipping_heard(heard):
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    assert seen == [True]
    assert not any(torch.equal(p.grad, b) for p, b in zip(model.parameters(), before, strict=True))


def test_norm_of_ones_own_is_told_without_gradients(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """Nobody knows what it was taken of."""
    model = model_with_gradients()
    with clipping_heard(heard):
        nn.utils.clip_grads_with_norm_(model.parameters(), 1.0, torch.tensor(3.0))
    assert heard.events[0][3] is None


@pytest.mark.parametrize("norm_type", [0.0, 0.5])
def test_norm_that_may_be_finite_over_bad_gradients_is_not_trusted(heard: Any, norm_type: float) -> None:  # noqa: ANN401
    """The 0-norm counts elements, and NaN is one."""
    model = model_with_gradients()
    with clipping_heard(heard):
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, norm_type=norm_type)
    assert heard.events[0][3] is None


def test_clipping_gives_the_same_bits_while_it_is_heard(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """And the same norm."""
    torch.manual_seed(0)
    first = model_with_gradients()
    torch.manual_seed(0)
    second = model_with_gradients()
    plain = nn.utils.clip_grad_norm_(first.parameters(), 0.5)
    with clipping_heard(heard):
        watched = nn.utils.clip_grad_norm_(second.parameters(), 0.5)
    assert plain.item() == watched.item()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
