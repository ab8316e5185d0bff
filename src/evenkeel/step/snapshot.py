"""Copies of what a step changes besides parameters: random states and buffers."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenkeel.step.generators import Mark, mark_of_generators

_HAS_CUDA = torch.backends.cuda.is_built()  # type: ignore[no-untyped-call]  # what torch calls so


@dataclass(slots=True)  # not frozen: making a frozen one takes three times as long, in every step
class RandomState:
    """The global generators of Python, NumPy, torch and each accelerator that is in use. About 10 KB."""

    python: tuple[object, ...]
    numpy: dict[str, object]
    torch_cpu: Tensor
    devices: tuple[Tensor, ...]
    mark: Mark | None = None  # of Python's and NumPy's generators

    @classmethod
    def capture(cls, earlier: RandomState | None = None) -> RandomState:
        """Copy the states; draws nothing. What was not drawn from since `earlier` is shared with it, not copied.

        Cost, in a hot cache: 2 µs when neither Python's nor NumPy's generator was drawn from, 50 µs when both were.
        """
        mark = mark_of_generators()
        devices = _device_states() if _HAS_CUDA else ()
        own = torch.default_generator.get_state()
        if earlier is None or mark is None or earlier.mark is None:
            return cls(random.getstate(), np.random.get_state(legacy=False), own, devices, mark)
        python = earlier.python if mark[0] == earlier.mark[0] else random.getstate()
        # a kept normal number may be handed out without a draw
        numpy_kept = mark[1] == earlier.mark[1] and not earlier.numpy["has_gauss"]
        numpy = earlier.numpy if numpy_kept else np.random.get_state(legacy=False)
        return cls(python, numpy, own, devices, mark)

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


def _device_states() -> tuple[Tensor, ...]:
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return ()
    return tuple(torch.cuda.get_rng_state_all())


class BufferCopy:
    """One copy of a set of buffers, refreshed in place: one flat tensor for each dtype and device."""

    def __init__(self) -> None:
        """Start without buffers."""
        self._live: tuple[Tensor, ...] = ()
        self._copies: tuple[Tensor, ...] = ()  # views into the flat tensors
        self.flat: tuple[Tensor, ...] = ()

    def watch(self, buffers: Iterable[Tensor]) -> None:
        """Take these buffers from now on, and copy them. Memory: their size once."""
        groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for buffer in buffers:
            groups.setdefault((buffer.dtype, buffer.device), []).append(buffer)
        self._live = tuple(b for group in groups.values() for b in group)
        self.flat = tuple(_room_for(group) for group in groups.values())
        rooms = zip(self.flat, groups.values(), strict=True)
        self._copies = tuple(view for flat, group in rooms for view in _views(flat, group))
        self.refresh()

    def refresh(self) -> None:
        """Copy the present values over the old copy. Cost: one call, 0.1 µs a small buffer."""
        if self._live:
            with torch.no_grad():
                torch._foreach_copy_(self._copies, self._live)

    def kept(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each live buffer with its copy."""
        yield from zip(self._live, self._copies, strict=True)

    def restore(self) -> None:
        """Write the copied values back into the live buffers."""
        with torch.no_grad():
            for live, copy in zip(self._live, self._copies, strict=True):
                live.copy_(copy)


def _room_for(buffers: list[Tensor]) -> Tensor:
    return torch.empty(sum(b.numel() for b in buffers), dtype=buffers[0].dtype, device=buffers[0].device)


def _views(flat: Tensor, buffers: list[Tensor]) -> list[Tensor]:
    parts = torch.split(flat, [b.numel() for b in buffers])
    return [part.view(b.shape) for part, b in zip(parts, buffers, strict=True)]
