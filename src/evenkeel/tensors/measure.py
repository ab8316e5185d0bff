"""Measure tensors: one suspicion over many, and exact counts of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from evenkeel.core.stats import TensorStats

_WIDE = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


def can_be_nonfinite(tensor: Tensor) -> bool:
    """Whether the dtype has NaN and infinities, and there are elements in memory to look at."""
    return (tensor.is_floating_point() or tensor.is_complex()) and tensor.numel() > 0 and not tensor.is_meta


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor that is spread over several (DTensor); any other is itself."""
    held = getattr(tensor, "to_local", None)
    return tensor if held is None else held()


def dense(tensor: Tensor) -> Tensor:
    """The stored values as a plain real tensor: values of a sparse one, (re, im) of a complex one, no graph."""
    values = local(tensor.detach())
    if values.layout != torch.strided:
        values = values.coalesce().values() if values.layout == torch.sparse_coo else values.values()
    if values.is_complex():
        return torch.view_as_real(values.resolve_conj())
    # the 8-bit floats have no arithmetic of their own
    return values.float() if values.is_floating_point() and values.element_size() == 1 else values


def is_plain(tensor: Tensor) -> bool:
    """Whether `totals` may read the tensor as it is: an ordinary dense one of float32 or float64."""
    ordinary = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout == torch.strided
    return ordinary and tensor.dtype in (torch.float32, torch.float64)


def totals(tensors: Sequence[Tensor]) -> list[Tensor]:
    """0-d tensors, one of which is not finite when an element of these plain tensors is not.

    All lie on one device; gradients may be sparse. Cost: one read; 3 µs a tensor on a CPU; two kernels in all on CUDA,
    where the answer is exact: the largest magnitude. No host sync.
    """
    if tensors and tensors[0].is_cuda and all(t.layout == torch.strided for t in tensors):
        return [torch.stack(torch._foreach_norm(list(tensors), float("inf"))).max()]
    return list(map(Tensor.sum, tensors))


def suspicion(tensors: Iterable[Tensor]) -> Tensor | None:
    """One number that is not finite whenever any element of any tensor is not.

    It may also be non-finite when all elements are finite (their sum overflows), so a suspicion has to be confirmed
    with `is_finite`. Shape: 0-d, on the device of the first tensor; None when there is nothing to look at.
    Cost: one read of each tensor, one small tensor each, no host sync.
    """
    sums = [dense(t).sum(dtype=_WIDE.get(t.dtype)) for t in tensors if can_be_nonfinite(t)]
    if not sums:
        return None
    first = sums[0]
    return torch.stack([s.to(first.device, first.dtype) for s in sums]).sum() if len(sums) > 1 else first


def is_finite(tensor: Tensor) -> bool:
    """Whether every element is finite. Exact. Cost: one read, one host sync."""
    return not can_be_nonfinite(tensor) or bool(torch.isfinite(dense(tensor)).all())


def describe(tensor: Tensor, name: str) -> TensorStats:
    """Exact counts and range of one tensor. Cost: a few reads, each with a host sync; for replays only."""
    shell = TensorStats(
        name=name,
        shape=tuple(tensor.shape),
        dtype=str(tensor.dtype).removeprefix("torch."),
        device=str(tensor.device),
    )
    if tensor.numel() == 0 or tensor.is_meta or tensor.is_quantized:
        return shell
    return _counted(dense(tensor), shell)


def quick(tensor: Tensor, name: str) -> TensorStats | None:
    """The range of a tensor in one read when all of it is finite (or it is empty), else None. Zeros are not counted."""
    values = _comparable(dense(tensor))
    if values.numel() == 0:
        return describe(tensor, name)
    low, high = (float(v) for v in torch.aminmax(values))
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        return None
    return TensorStats(
        name=name,
        shape=tuple(tensor.shape),
        dtype=str(tensor.dtype).removeprefix("torch."),
        device=str(tensor.device),
        min=low,
        max=high,
    )


def _comparable(values: Tensor) -> Tensor:
    """Widen the dtype for which torch has no order."""
    return values.to(torch.uint8) if values.dtype == torch.bool else values


def _counted(values: Tensor, shell: TensorStats) -> TensorStats:
    values = _comparable(values)
    finite = values[torch.isfinite(values)] if values.is_floating_point() else values
    return TensorStats(
        name=shell.name,
        shape=shell.shape,
        dtype=shell.dtype,
        device=shell.device,
        num_nan=int(values.isnan().sum()),
        num_posinf=int(values.isposinf().sum()),
        num_neginf=int(values.isneginf().sum()),
        num_zero=int((values == 0).sum()),
        min=float(finite.min()) if finite.numel() else None,
        max=float(finite.max()) if finite.numel() else None,
    )
