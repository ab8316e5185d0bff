"""Shadows of pooling that chooses: all of a window may have been the largest element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evenkeel.locate.influence.shadow import Shadow, everything
from evenkeel.locate.record import Record, Touch

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_ADAPTIVE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def window(record: Record, written: Touch, read: Touch) -> Shadow:
    """Max pooling: the sum over each window, cut at the edges."""
    call = record.call
    if call is None:
        return everything(record, written, read)
    kernel = call.sizes("kernel_size")
    num = len(kernel)
    stride = _each(call.sizes("stride") or kernel, num)
    padding, dilation = _each(call.sizes("padding"), num), _each(call.sizes("dilation"), num)

    def shadow(x: Tensor) -> Tensor:
        flat = x.reshape(-1, 1, *x.shape[-num:])
        ends = [
            (out - 1) * s + d * (k - 1) + 1 - size - p
            for out, s, d, k, size, p in zip(
                written.shape[-num:], stride, dilation, kernel, x.shape[-num:], padding, strict=True
            )
        ]
        around = [edge for p, end in zip(reversed(padding), reversed(ends), strict=True) for edge in (p, end)]
        ones = torch.ones(1, 1, *kernel, device="cpu", dtype=x.dtype)
        return _CONVOLUTIONS[num](F.pad(flat, around), ones, stride=stride, dilation=dilation).reshape(written.shape)

    return shadow


def adaptive_window(record: Record, written: Touch, read: Touch) -> Shadow:
    """Adaptive max pooling: the mean over the same windows."""
    num = len(record.call.sizes("output_size")) if record.call is not None else 0
    if num not in _ADAPTIVE:
        return everything(record, written, read)
    pool: Any = _ADAPTIVE[num]
    return lambda x: pool(x, written.shape[-num:])


def _each(value: Sequence[int], num: int) -> list[int]:
    return list(value) * num if len(value) == 1 else list(value)
