"""Statistics of one rank become those of all ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from evenkeel.dist.reduce import Parcel, reduce
from evenkeel.metrics.statistics import Rows, S, Statistics, layout, leaves, rebuilt, split
from evenkeel.tensors.wide import Wide


def reduced(statistics: S, group: dist.ProcessGroup | None = None) -> S:
    """The statistics over all ranks, the same on each of them; what it was given where a program trains alone.

    Put all metrics of an epoch into one class (see `Statistics`): then one collective serves them all. A rank without
    data brings the statistics of no data (`empty`).

    Raises:
        RanksDiffer, EvenkeelError: see `evenkeel.dist.reduce.reduce`, also for the cost.
    """
    delivered = reduce(packed(statistics), group)
    kept = [leaf for leaf in leaves(statistics) if isinstance(leaf, Rows)]
    by_rank = [list(_cut(flat, kept)) for flat in delivered.rows]
    rows = [Rows(own.width, tuple(pieces)) for own, *pieces in zip(kept, *by_rank, strict=True)]
    return with_parts(statistics, delivered.sums, rows)


def packed(statistics: Statistics) -> Parcel:
    """All sums in one flat vector, all kept samples in another: first how many rows each field has, then the rows."""
    kept = [leaf.together() for leaf in leaves(statistics) if isinstance(leaf, Rows)]
    numbers = torch.tensor([len(rows) for rows in kept], dtype=torch.float64)
    device = kept[0].device if kept else "cpu"
    flat = torch.cat([numbers.to(device), *(rows.flatten().to(device) for rows in kept)])
    return Parcel(layout=layout(statistics), sums=joined_sums(statistics), rows=flat)


def joined_sums(statistics: Statistics) -> Wide:
    """All sums in the order of the fields, flat; empty where there are none."""
    sums = [leaf for leaf in leaves(statistics) if isinstance(leaf, Wide)]
    return Wide.joined(sums) if sums else Wide.zeros(0)


def with_parts(statistics: S, sums: Wide, rows: Sequence[Rows]) -> S:
    """The same statistics around other sums, flat as `joined_sums` gives them, and other rows, one for each field."""
    shapes = [leaf.shape for leaf in leaves(statistics) if isinstance(leaf, Wide)]
    return rebuilt(statistics, split(sums, shapes), iter(rows))


def _cut(flat: Tensor, kept: list[Rows]) -> Iterator[Tensor]:
    """The rows of each field, out of what one rank packed."""
    numbers = [int(n) for n in flat[: len(kept)].tolist()]
    start = len(kept)
    for leaf, number in zip(kept, numbers, strict=True):
        size = number * leaf.width
        yield flat[start : start + size].reshape(number, leaf.width)
        start += size
