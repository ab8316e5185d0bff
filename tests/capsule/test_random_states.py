"""States of generators go there and back; what no generator can be in is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from evenkeel.capsule.random_states import plain_of, state_of
from evenkeel.capsule.refused import CapsuleRefused
from evenkeel.step.snapshot import RandomState


def test_there_and_back() -> None:
    """Equal in every word; trying it draws nothing from the living generators."""
    state = RandomState.capture()
    again = state_of(plain_of(state), "it")
    assert again.as_plain() == state.as_plain()
    assert RandomState.capture().as_plain() == state.as_plain()


BAD: list[tuple[str, Any]] = [
    ("python", (3, torch.zeros(3), None)),
    ("python", (99, torch.zeros(625, dtype=torch.int64), None)),
    ("python", (3, torch.full((625,), -1), None)),
    ("python", None),
    ("numpy", {}),
    (
        "numpy",
        {"bit_generator": "PCG64", "state": {"key": np.zeros(624, np.uint32), "pos": 0}, "has_gauss": 0, "gauss": 0},
    ),
    (
        "numpy",
        {"bit_generator": "MT19937", "state": {"key": np.zeros(3, np.uint32), "pos": 0}, "has_gauss": 0, "gauss": 0},
    ),
    ("torch_cpu", torch.zeros(3, dtype=torch.uint8)),
    ("torch_cpu", torch.zeros(5056)),
    ("torch_cpu", "text"),
    ("devices", [torch.zeros(3)]),
    ("devices", None),
]


@pytest.mark.parametrize(("part", "value"), BAD, ids=[f"{part} {n}" for n, (part, _) in enumerate(BAD)])
def test_an_impossible_state_is_refused(part: str, value: object) -> None:
    """Before any generator is touched."""
    before = RandomState.capture()
    with pytest.raises(CapsuleRefused, match=r"^the state of the step is no state of random number generators"):
        state_of({**plain_of(before), part: value}, "the state of the step")
    assert RandomState.capture().as_plain() == before.as_plain()
