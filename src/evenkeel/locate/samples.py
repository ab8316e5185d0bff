"""Which rows of the batch the offending elements belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor


def batch_size(tensors: Iterable[Tensor]) -> int | None:
    """The leading size that most tensors of a batch share; None when there is none."""
    sizes = Counter(t.shape[0] for t in tensors if t.dim() > 0)
    return sizes.most_common(1)[0][0] if sizes else None


def rows_of_batch(relevant: Tensor, num_samples: int | None) -> tuple[int, ...]:
    """The rows that hold a relevant element.

    The batch dimension is the first of size `num_samples`; a leading dimension that is a multiple of it is read as
    rows times something (flattened tokens). Empty when no dimension fits: then the rows are unknown.
    """
    if num_samples is None or num_samples < 1 or relevant.dim() == 0:
        return ()
    matching = [d for d, size in enumerate(relevant.shape) if size == num_samples]
    if matching:
        return _indices(relevant.movedim(matching[0], 0).reshape(num_samples, -1).any(dim=1))
    if relevant.shape[0] % num_samples == 0 and relevant.shape[0] > num_samples > 1:
        return _indices(relevant.reshape(num_samples, -1).any(dim=1))
    return ()


def _indices(rows: Tensor) -> tuple[int, ...]:
    return tuple(int(i) for i in torch.nonzero(rows).flatten())
