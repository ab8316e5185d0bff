"""Take the fingerprint of tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

from evenkeel.core.fingerprint import Fingerprint
from evenkeel.tensors.measure import dense

_NAN, _INF, _NEGATIVE_INF = 1, 2, 3


def fingerprint(tensors: Iterable[Tensor]) -> Fingerprint:
    """The bits, the bad elements and the sizes of tensors of any shape, layout and dtype, in this order.

    Cost: one copy of each to the host, and three reads there; for bad steps only.
    """
    bits, pattern = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    norms: list[float] = []
    precisions: list[float] = []
    for tensor in tensors:
        values = _on_host(tensor)
        layout = _layout(tensor)
        bits.update(layout + values.view(torch.uint8).numpy().tobytes())
        if not tensor.is_floating_point() and not tensor.is_complex():
            pattern.update(layout + values.view(torch.uint8).numpy().tobytes())
            norms.append(0.0)
            precisions.append(0.0)
            continue
        is_finite = values.isfinite()
        finite, places = (values, b"") if bool(is_finite.all()) else (values[is_finite], _places(values))
        pattern.update(layout + places)
        norms.append(float(torch.linalg.vector_norm(finite, dtype=torch.float64)))
        precisions.append(torch.finfo(tensor.dtype).eps)
    return Fingerprint(
        bits=bits.hexdigest(), pattern=pattern.hexdigest(), norms=tuple(norms), precisions=tuple(precisions)
    )


def _on_host(tensor: Tensor) -> Tensor:
    """The stored values in one row, every NaN the same NaN."""
    values = dense(tensor)
    if values.is_floating_point():
        values = torch.where(values.isnan(), torch.full_like(values, float("nan")), values)
    return values.cpu().reshape(-1).clone(memory_format=torch.contiguous_format)  # stride 1, for one element too


def _layout(tensor: Tensor) -> bytes:
    """Shape and dtype, and where the values of a sparse tensor lie."""
    layout = str((tuple(tensor.shape), tensor.dtype)).encode()
    if tensor.layout != torch.sparse_coo:
        return layout
    return layout + tensor.detach().coalesce().indices().cpu().numpy().tobytes()


def _places(values: Tensor) -> bytes:
    kinds = torch.zeros(values.shape, dtype=torch.uint8)
    kinds[values.isnan()] = _NAN
    kinds[values.isposinf()] = _INF
    kinds[values.isneginf()] = _NEGATIVE_INF
    return kinds.numpy().tobytes()
