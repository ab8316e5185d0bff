"""Samples that a sampler repeats count once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.data import DistributedSampler

from evenkeel.core.errors import UsageError
from evenkeel.dist.launch import World
from evenkeel.dist.once import counted_once, not_padding

Play = Callable[..., list[dict[str, Any]]]  # see conftest


@pytest.mark.parametrize("num_samples", [1, 2, 7, 8, 9, 100])
@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("shuffle", [False, True], ids=["in order", "shuffled"])
def test_padding_of_the_sampler_is_left_out(num_samples: int, size: int, *, shuffle: bool) -> None:
    """What torch's own sampler deals out, less the padding, is each sample once."""
    seen: list[int] = []
    num_dealt = 0
    for rank in range(size):
        sampler: DistributedSampler[int] = DistributedSampler(range(num_samples), size, rank, shuffle=shuffle)
        dealt = torch.tensor(list(sampler))
        batches = torch.split(dealt, 4)
        starts = range(0, len(dealt), 4)
        here = World(rank=rank, size=size)
        for start, batch in zip(starts, batches, strict=True):
            seen.extend(batch[not_padding(num_samples, start, len(batch), here)].tolist())
        num_dealt += len(dealt)
    assert sorted(seen) == list(range(num_samples))
    assert num_dealt == -(-num_samples // size) * size


def test_program_alone_has_no_padding() -> None:
    """One process sees each sample once, and its place is the number of samples before."""
    assert not_padding(5, 3, 4).tolist() == [True, True, False, False]
    assert counted_once(torch.tensor([4, 2, 4])).tolist() == [True, True, False]


def test_each_sample_counts_where_it_comes_first(play: Play) -> None:
    """By rank, then by place; a rank without samples takes part."""
    reports = play("reducing", "repeated", 3)
    assert [report["counted"] for report in reports] == [[True, True, False, True], [False, True, False, True], []]


@pytest.mark.parametrize("indices", [torch.zeros(2), torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2).bool()])
def test_what_is_no_list_of_samples_is_refused(indices: torch.Tensor) -> None:
    """Floats, matrices and masks."""
    with pytest.raises(UsageError, match="list of integers"):
        counted_once(indices)
    with pytest.raises(UsageError, match="not negative"):
        not_padding(3, -1, 2)
