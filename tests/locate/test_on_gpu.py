"""What differs on an accelerator: looking at tensors, and the threads in which backward runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.locate.test_content import BAD, GOOD
from torch import Tensor, nn

from evenkeel.locate.content import content_of
from evenkeel.tensors.measure import describe

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator is here")]

Play = Callable[..., Any]


@pytest.mark.parametrize("name", [*BAD, *GOOD])
def test_tensor_is_counted_as_on_a_cpu(name: str) -> None:
    """Exactly, with masks on the CPU."""
    tensor = {**BAD, **GOOD}[name].cuda()
    found = content_of(tensor)
    expected = describe(tensor, "x")
    stats = found.stats("x", tuple(tensor.shape))
    assert (stats.num_nan, stats.num_posinf, stats.num_neginf) == (
        expected.num_nan, expected.num_posinf, expected.num_neginf,
    )  # fmt: skip
    assert (stats.min, stats.max) == (expected.min, expected.max)
    assert found.nan is None or found.nan.dense().is_cpu


class Wrong(torch.autograd.Function):
    """Divides by zero in its own backward."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401  torch's context has no public type
        return x * 2

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401  torch's context has no public type
        return gradient / (gradient - gradient)  # the bad backward


def test_backward_in_a_thread_of_the_engine_has_its_forward_line(play: Play) -> None:
    """No line of the user's called it there; a backward that somebody wrote is named all the same."""
    model, x = nn.Linear(3, 3).cuda(), torch.rand(4, 3).cuda()

    def singular() -> Tensor:
        return torch.sqrt(model(x) * 0).sum()  # planted

    def written() -> Tensor:
        return Wrong.apply(model(x)).sum()

    first = play(singular, model=model, batch=[x]).located
    assert first.phase == "backward"
    assert first.origin.operation.function == "sqrt"
    assert first.origin.operation.place.source.endswith("# planted")
    second = play(written, model=model, batch=[x]).located
    assert second.origin.operation.place.source.endswith("# the bad backward")
