"""Random states as plain containers and tensors, and back with every number checked."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from evenkeel.capsule.refused import CapsuleRefused
from evenkeel.step.snapshot import RandomState

_WORDS = 624  # of a Mersenne Twister
_TOP = 1 << 32


def plain_of(state: RandomState) -> dict[str, Any]:
    """What `RandomState.as_plain` gives, with the long lists as tensors."""
    version, words, gauss = state.python
    numpy: dict[str, Any] = state.numpy
    return {
        "python": (version, torch.tensor(words), gauss),
        "numpy": {**numpy, "state": dict(numpy["state"])},
        "torch_cpu": state.torch_cpu,
        "devices": list(state.devices),
    }


def state_of(plain: object, at: str) -> RandomState:
    """The state that `plain_of` described, tried on generators of its own.

    Raises:
        CapsuleRefused: no generator of Python, NumPy or torch can be in this state.
    """
    try:
        return _state_of(plain)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise CapsuleRefused(f"{at} is no state of random number generators: {error}") from error


def _state_of(plain: Any) -> RandomState:  # noqa: ANN401  whatever the file says
    version, words, gauss = plain["python"]
    numpy = plain["numpy"]
    state = RandomState(
        python=(version, _words(words, _WORDS + 1), gauss),
        numpy={**numpy, "state": {**numpy["state"], "key": np.array(_words(numpy["state"]["key"], _WORDS), np.uint32)}},
        torch_cpu=plain["torch_cpu"],
        devices=tuple(plain["devices"]),
    )
    random.Random().setstate(state.python)  # noqa: S311  only a trial
    np.random.RandomState().set_state(state.numpy)
    torch.Generator().set_state(state.torch_cpu)
    if any(device.dtype != torch.uint8 or device.ndim != 1 for device in state.devices):
        raise ValueError("the state of a device is a row of bytes")
    return state


def _words(given: Any, count: int) -> tuple[int, ...]:  # noqa: ANN401  a tensor or an array
    words = tuple(int(word) for word in given.tolist())
    if len(words) != count or not all(0 <= word < _TOP for word in words):
        raise ValueError(f"a Mersenne Twister has {count} words of 32 bits")
    return words
