"""Marks of generators change with every draw, so that a state is copied again when it has to be."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from evenkeel.step.generators import Mark, mark_of_generators
from evenkeel.step.snapshot import RandomState

PYTHON: dict[str, Callable[[], object]] = {
    "random": random.random,
    "one bit": lambda: random.getrandbits(1),
    "shuffle": lambda: random.shuffle([1, 2, 3]),
    "a whole round": lambda: random.getrandbits(32 * 624),
    "seed": lambda: random.seed(12345),
    "another state": lambda: random.setstate(random.Random(1).getstate()),
    "gauss": lambda: random.gauss(0, 1),
}
NUMPY: dict[str, Callable[[], object]] = {
    "rand": np.random.rand,
    "a whole round": lambda: np.random.bytes(4 * 624),  # noqa: NPY002  the same
    "permutation": lambda: np.random.permutation(3),  # noqa: NPY002  the same
    "seed": lambda: np.random.seed(12345),  # noqa: NPY002  the same
    "normal": np.random.standard_normal,
}


def mark() -> Mark:
    """There is one on every Python this is tested on."""
    found = mark_of_generators()
    assert found is not None
    return found


@pytest.mark.parametrize("draw", PYTHON.values(), ids=PYTHON)
def test_each_draw_of_python_is_noticed(draw: Callable[[], object]) -> None:
    """And looking is no draw."""
    before = mark()[0]
    assert before == mark()[0]
    draw()
    assert mark()[0] != before


@pytest.mark.parametrize("draw", NUMPY.values(), ids=NUMPY)
def test_each_draw_of_numpy_is_noticed(draw: Callable[[], object]) -> None:
    """And looking is no draw."""
    before = mark()[1]
    assert before == mark()[1]
    draw()
    assert mark()[1] != before


def test_kept_half_of_a_pair_of_python_is_noticed() -> None:
    """`gauss` draws two numbers and hands out the second without a draw."""
    random.seed(0)
    random.gauss(0, 1)
    before = mark()[0]
    random.gauss(0, 1)
    assert mark()[0] != before


def test_state_is_shared_while_nobody_draws() -> None:
    """What was not drawn from is the same object; what was is a new one."""
    first = RandomState.capture()
    second = RandomState.capture(first)
    assert second.python is first.python
    assert second.numpy is first.numpy
    random.random()
    third = RandomState.capture(second)
    assert third.python is not second.python
    assert third.numpy is second.numpy


@pytest.mark.parametrize("num_draws", [1, 2, 3])
def test_shared_state_restores_like_a_full_copy(num_draws: int) -> None:
    """Also where NumPy's legacy interface keeps the second of a pair, which it hands out without a draw."""
    np.random.seed(3)  # noqa: NPY002  the global state is what is tested
    state = RandomState.capture()
    for _ in range(num_draws):
        np.random.standard_normal()  # noqa: NPY002  the same
        random.gauss(0, 1)
        torch.rand(1)
        state = RandomState.capture(state)
    expected = (np.random.standard_normal(), random.gauss(0, 1), torch.rand(1).item())  # noqa: NPY002  the same
    state.restore()
    assert (np.random.standard_normal(), random.gauss(0, 1), torch.rand(1).item()) == expected  # noqa: NPY002


def test_other_generator_of_numpy_is_always_copied() -> None:
    """Its memory is laid out otherwise."""
    usual = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        assert mark_of_generators() is None
        assert RandomState.capture(RandomState.capture()).mark is None
    finally:
        np.random.set_bit_generator(usual)
