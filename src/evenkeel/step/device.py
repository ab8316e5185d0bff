"""Updates that are left out on the device, and numbers that come to the host one step late: no host sync."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from evenkeel.core.errors import ProgramRefused
from evenkeel.step.updater import Updater


def refuse_captured_step() -> None:
    """Where a step is being captured into a CUDA graph, stop the program before evenkeel disturbs the capture.

    Cost: one call into torch, no sync.

    Raises:
        ProgramRefused: the step would be judged once, while it is captured, and never when it is replayed.
    """
    is_in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch left it without types
    if is_in_use and torch.cuda.is_current_stream_capturing():
        raise ProgramRefused(
            "this program captures whole steps into a CUDA graph; a replayed graph runs no Python, so nothing would be "
            "judged there. Keep optimizer.step() out of the graph, or run without the graph while you look for a fault"
        )


def honours_found_inf(updater: Updater) -> bool:
    """Whether the optimizer leaves its update out when `found_inf`, a tensor on its device, is not 0.

    Fused Adam, AdamW, SGD and Adagrad do: parameters, state and step count stay as they are.
    """
    return bool(getattr(updater, "_step_supports_amp_scaling", False))


class LeftOutIf:
    """An update that the device leaves out when a flag is not finite; nobody on the host knows yet.

    A verdict that a gradient scaler has put there counts too.
    """

    def __init__(self, updater: Updater, flag: Tensor) -> None:
        """Give the optimizer its verdict. Cost: two small kernels."""
        self._updater = updater
        self._given = getattr(updater, "found_inf", None)
        bad = (~torch.isfinite(flag)).float()
        updater.found_inf = bad if self._given is None else torch.maximum(bad, self._given)  # type: ignore[attr-defined]

    def release(self) -> None:
        """The update is over: what was there before is there again."""
        if self._given is None:
            del self._updater.found_inf  # type: ignore[attr-defined]
        else:
            self._updater.found_inf = self._given  # type: ignore[attr-defined]


class Reading:
    """A few 0-d tensors on their way to the host.

    Cost: one small kernel and one copy into pinned memory; `numbers` waits for that copy alone, which was made a
    whole step ago.
    """

    def __init__(self, values: Sequence[Tensor]) -> None:
        """Send them on their way."""
        packed = torch.stack([v.detach().double() for v in values])
        self._arrived = torch.cuda.Event() if packed.is_cuda else None  # type: ignore[no-untyped-call]
        if self._arrived is None:
            self._numbers = packed
        else:
            self._numbers = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
            self._numbers.copy_(packed, non_blocking=True)
            self._arrived.record()

    def numbers(self) -> list[float]:
        """Their values."""
        if self._arrived is not None:
            self._arrived.synchronize()
        numbers: list[float] = self._numbers.tolist()
        return numbers
