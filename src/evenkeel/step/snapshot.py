"""Copies of what a step changes besides parameters: random states and buffers."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class RandomState:
    """The global generators of Python, NumPy, torch and each accelerator that is in use. About 10 KB."""

    python: tuple[object, ...]
    numpy: dict[str, object]
    torch_cpu: Tensor
    devices: tuple[Tensor, ...]

    @classmethod
    def capture(cls) -> RandomState:
        """Copy the states; draws nothing."""
        return cls(
            python=random.getstate(),
            numpy=np.random.get_state(legacy=False),
            torch_cpu=torch.get_rng_state(),
            devices=_device_states(),
        )

    def as_plain(self) -> dict[str, Any]:
        """The states as JSON values, for another process."""
        state: dict[str, Any] = dict(self.numpy)
        inner = {**state["state"], "key": state["state"]["key"].tolist()}
        return {
            "python": self.python,
            "numpy": {**state, "state": inner},
            "torch_cpu": self.torch_cpu.tolist(),
            "devices": [d.tolist() for d in self.devices],
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> RandomState:
        """What `as_plain` gave."""
        version, internal, gauss = plain["python"]
        numpy_state = plain["numpy"]
        inner = {**numpy_state["state"], "key": np.array(numpy_state["state"]["key"], dtype=np.uint32)}
        return cls(
            python=(version, tuple(internal), gauss),
            numpy={**numpy_state, "state": inner},
            torch_cpu=torch.tensor(plain["torch_cpu"], dtype=torch.uint8),
            devices=tuple(torch.tensor(d, dtype=torch.uint8) for d in plain["devices"]),
        )

    def restore(self) -> None:
        """Put all states back."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.torch_cpu)
        if self.devices:
            torch.cuda.set_rng_state_all(list(self.devices))


class BufferCopy:
    """One copy of a set of buffers, refreshed in place."""

    def __init__(self) -> None:
        """Start without buffers."""
        self._live: tuple[Tensor, ...] = ()
        self._copies: tuple[Tensor, ...] = ()

    def watch(self, buffers: Iterable[Tensor]) -> None:
        """Take these buffers from now on, and copy them. Memory: their size once."""
        self._live = tuple(buffers)
        self._copies = tuple(b.detach().clone() for b in self._live)

    def refresh(self) -> None:
        """Copy the present values over the old copy."""
        if self._live:
            with torch.no_grad():
                torch._foreach_copy_(list(self._copies), list(self._live))

    def restore(self) -> None:
        """Write the copied values back into the live buffers."""
        with torch.no_grad():
            for live, copy in zip(self._live, self._copies, strict=True):
                live.copy_(copy)


def _device_states() -> tuple[Tensor, ...]:
    if not (torch.cuda.is_available() and torch.cuda.is_initialized()):  # type: ignore[no-untyped-call]
        return ()
    return tuple(torch.cuda.get_rng_state_all())
