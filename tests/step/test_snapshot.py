from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from evenkeel.step.snapshot import BufferCopy, RandomState


def draw() -> list[Any]:
    """A few numbers from every generator, an odd count of normal ones included."""
    return [
        random.random(),
        random.gauss(0, 1),
        np.random.random_sample(3).tolist(),  # noqa: NPY002  the global state is what is tested
        np.random.normal(size=3).tolist(),  # noqa: NPY002  the global state is what is tested
        torch.rand(3).tolist(),
        torch.randn(17).tolist(),
    ]


def directly(state: RandomState) -> RandomState:
    """The state as it is."""
    return state


def through_json(state: RandomState) -> RandomState:
    """The state as another process reads it."""
    return RandomState.from_plain(json.loads(json.dumps(state.as_plain())))


WAYS = [directly, through_json]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(5))
def test_the_same_numbers_come_again(way: Callable[[RandomState], RandomState], seed: int) -> None:
    """After a restore every generator repeats itself exactly."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  the global state is what is tested
    torch.manual_seed(seed)
    draw()  # so that the generators stand in the middle of something
    state = way(RandomState.capture())
    first = draw()
    assert draw() != first
    state.restore()
    assert draw() == first


@pytest.mark.parametrize("way", WAYS)
def test_the_second_number_of_a_gauss_pair_is_kept(way: Callable[[RandomState], RandomState]) -> None:
    """Generators that make two normal numbers at once hold one back: Python's gauss and NumPy's legacy one."""
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002  the global state is what is tested
    random.gauss(0, 1)
    np.random.standard_normal()  # noqa: NPY002  one of two: the other is cached
    state = way(RandomState.capture())
    assert state.numpy["has_gauss"] == 1
    assert state.python[2] is not None
    first = (random.gauss(0, 1), np.random.standard_normal())  # noqa: NPY002  the cached ones
    random.seed(2)
    np.random.seed(2)  # noqa: NPY002  no cache now
    state.restore()
    assert (random.gauss(0, 1), np.random.standard_normal()) == first  # noqa: NPY002  the cached ones


def test_capture_draws_nothing() -> None:
    """Looking at the generators leaves them where they are."""
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002  the global state is what is tested
    undisturbed = draw()
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002  the global state is what is tested
    RandomState.capture()
    assert draw() == undisturbed


def test_captured_state_is_a_copy() -> None:
    """What is drawn later does not move a captured state."""
    state = RandomState.capture()
    kept = json.dumps(state.as_plain())
    draw()
    assert json.dumps(state.as_plain()) == kept


def test_buffers_come_back_in_place() -> None:
    """The live tensors themselves get their values back."""
    norm = nn.BatchNorm1d(3)
    mean = norm.running_mean
    copy = BufferCopy()
    copy.watch(norm.buffers())
    norm(torch.rand(4, 3) + 5)
    assert norm.running_mean.tolist() != [0, 0, 0]
    copy.restore()
    assert norm.running_mean is mean
    assert (norm.running_mean.tolist(), norm.running_var.tolist()) == ([0] * 3, [1] * 3)
    assert int(norm.num_batches_tracked) == 0


def test_refresh_moves_on_to_the_present_values() -> None:
    """After a healthy step, its end is the beginning of the next."""
    buffer = torch.zeros(3)
    whole = torch.tensor(7)
    copy = BufferCopy()
    copy.watch([buffer, whole])
    buffer.fill_(1)
    whole.fill_(8)
    copy.refresh()
    buffer.fill_(float("nan"))
    whole.fill_(9)
    copy.restore()
    assert (buffer.tolist(), int(whole)) == ([1, 1, 1], 8)


def test_no_buffers_are_no_problem() -> None:
    """A model without buffers has nothing to put back."""
    copy = BufferCopy()
    copy.refresh()
    copy.restore()
    copy.watch([])
    copy.refresh()
    copy.restore()


def test_buffer_that_needs_a_gradient_is_restored() -> None:
    """Writing into a leaf that requires a gradient is allowed outside of the graph only."""
    buffer = torch.ones(2, requires_grad=True)
    copy = BufferCopy()
    copy.watch([buffer])
    with torch.no_grad():
        buffer.mul_(3)
    copy.restore()
    assert buffer.tolist() == [1, 1]
