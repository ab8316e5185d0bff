"""Each sample counts once, although samplers repeat some so that all ranks get equally many."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.dist.launch import World
from evenkeel.dist.reduce import Parcel, reduce
from evenkeel.dist.world import world
from evenkeel.tensors.wide import Wide


def not_padding(num_samples: int, num_seen: int, batch_size: int, here: World | None = None) -> Tensor:
    """Which rows of this rank's next batch are samples of their own: bool [batch_size], False for repeated ones.

    For torch's `DistributedSampler`, shuffled or not: it appends the first samples of its order again until all ranks
    get equally many, then deals them out in turn. So row k of rank r has place r + k * size in that order, and is a
    repetition from `num_samples` on. With `drop_last=True` nothing is repeated (and some samples are left out).

    Args:
        num_samples: in the whole data set.
        num_seen: samples that this rank has had before this batch, in this epoch.
        batch_size: rows of this batch.
        here: rank and size as the sampler knows them; default: those of the default group.

    Raises:
        UsageError: a negative number.

    Cost: none to speak of; no collective.
    """
    if min(num_samples, num_seen, batch_size) < 0:
        raise UsageError(f"numbers of samples are not negative: {num_samples}, {num_seen}, {batch_size}")
    me = world() if here is None else here
    places = me.rank + me.size * (num_seen + torch.arange(batch_size))
    return places < num_samples


def counted_once(indices: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """Which of the samples that this rank is going to see it counts: bool, of the shape of `indices`.

    For any sampler: `counted_once(torch.tensor(list(sampler)))`. A sample that several ranks see, or one rank several
    times, is counted where it comes first, by rank and then by place.

    Args:
        indices: int64 [n], any n on each rank, also 0.
        group: see `reduce`, which each rank has to reach.

    Raises:
        UsageError: not a list of whole numbers.
        RanksDiffer: see `reduce`.

    Cost: one all_gather of 8 bytes a sample, for each rank as many as the longest list has.
    """
    if indices.dim() != 1 or indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
        raise UsageError(f"sample numbers are a list of integers, not {list(indices.shape)} of {indices.dtype}")
    # whole numbers are exact in float64 up to 2^53
    own = Parcel(layout="sample numbers", sums=Wide.zeros(0), rows=indices.cpu().to(torch.float64))
    by_rank = reduce(own, group).rows
    rank = dist.get_rank(group) if len(by_rank) > 1 else 0
    earlier = torch.cat([*by_rank[:rank], own.rows.new_zeros(0)])
    mine = by_rank[rank]
    first = torch.zeros(len(mine), dtype=torch.bool)
    _, group_of, sizes = torch.unique(mine, return_inverse=True, return_counts=True)
    by_value = torch.argsort(group_of, stable=True)
    first[by_value[sizes.cumsum(0) - sizes]] = True
    return (first & ~torch.isin(mine, earlier)).to(indices.device)
