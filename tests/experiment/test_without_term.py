"""A loss without one of its terms: what backward starts from, and when nothing is changed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from evenkeel.experiment.without_term import WithoutTerm


def change_of(position: int, backward: int = 0, num_backwards: int = 1) -> WithoutTerm:
    """The change for a step of so many backward calls."""
    return WithoutTerm("a term", position, backward=backward, num_backwards=num_backwards)


def gradient_of(loss_of, change: WithoutTerm) -> tuple[list[float], float]:  # noqa: ANN001
    """The gradient of two weights, and what backward started from."""
    weights, started = torch.tensor([2.0, 3.0], requires_grad=True), []
    original = torch.autograd.backward
    torch.autograd.backward = lambda t, *a, **k: (started.append(float(t.detach())), original(t, *a, **k))[1]
    try:
        with change.during():
            loss_of(weights).backward()
    finally:
        torch.autograd.backward = original
    assert weights.grad is not None
    return weights.grad.tolist(), started[0]


def three_terms(w: Tensor) -> Tensor:
    """A square, a log of 0, and the second weight subtracted twice."""
    return w[0].square() + (w[0] * 0).log() - 2 * w[1]


@pytest.mark.parametrize(
    ("position", "gradient", "loss"),
    [(1, [4.0, -2.0], -2.0), (0, [float("nan"), -2.0], -float("inf")), (2, [float("nan"), 0.0], -float("inf"))],
)
def test_the_others_keep_their_sign_and_size(position: int, gradient: list[float], loss: float) -> None:
    """Without the bad term all is finite; without another one it is not."""
    change = change_of(position)
    found = gradient_of(three_terms, change)
    assert torch.allclose(torch.tensor(found[0]), torch.tensor(gradient), equal_nan=True)
    assert found[1] == loss
    assert change.took_effect


def test_terms_of_samples_and_averages() -> None:
    """One number for each sample, added, then averaged, then scaled."""
    change = change_of(1)

    def loss_of(w: Tensor) -> Tensor:
        return (w * 3 + w.log() + w.exp()).mean() / 4

    gradient, loss = gradient_of(loss_of, change)
    w = torch.tensor([2.0, 3.0])
    assert torch.allclose(torch.tensor(gradient), (3 + w.exp()) / 8)
    assert loss == pytest.approx(float((w * 3 + w.exp()).mean() / 4))


def test_the_right_backward_of_several_each_time_the_step_comes() -> None:
    """The second of two, and again when the step comes once more."""
    change = change_of(0, backward=1, num_backwards=2)
    weights, gradients = torch.tensor([2.0, 3.0], requires_grad=True), []
    with change.during():
        for _ in range(2):
            for _ in range(2):
                weights.grad = None
                (weights[0] * 5 + weights[1] * 7).backward()
                assert weights.grad is not None
                gradients.append(weights.grad.tolist())
    assert gradients == [[5.0, 7.0], [0.0, 7.0]] * 2


def test_what_is_no_sum_is_left_as_it_is() -> None:
    """One term alone, a gradient given, a term that torch made inside of a call."""
    weights = torch.tensor([2.0, 3.0], requires_grad=True)
    for loss in (weights.prod, lambda: torch.stack([weights.sum()]).sum()):
        change = change_of(0)
        with change.during():
            loss().backward()
        assert not change.took_effect
    change = change_of(0)
    with change.during():
        (weights[0] + weights[1]).backward(torch.tensor(1.0))
    assert not change.took_effect


def test_nothing_stays() -> None:
    """Backward is torch's own afterwards."""
    original = torch.autograd.backward
    with change_of(0).during():
        assert torch.autograd.backward is not original
    assert torch.autograd.backward is original
