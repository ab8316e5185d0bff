"""Both streams are shuffled by themselves, and an epoch is as long as it was asked to be."""

from __future__ import annotations

import numpy as np
import pytest

from evenkeel_recipes.deconvolution.networks.streams import PairSampler, epoch_length


@pytest.mark.parametrize(
    ("asked", "sizes", "length"),
    [("bulk", (30, 70), 30), ("max", (30, 70), 70), ("max", (70, 30), 70), ("45", (30, 70), 45), ("7", (30, 70), 7)],
)
def test_each_stream_goes_round_before_anything_comes_again(asked: str, sizes: tuple[int, int], length: int) -> None:
    n_pairs = epoch_length(asked)(*sizes)
    assert n_pairs == length
    sampler = PairSampler(*sizes, n_pairs, 0, 0, 1)
    drawn = np.array(list(sampler))
    assert len(drawn) == len(sampler) == length
    for stream, size in enumerate(sizes):
        times = np.bincount(drawn[:, stream], minlength=size)
        assert times.max() - times.min() <= 1
    sampler.set_epoch(1)
    assert not np.array_equal(np.array(list(sampler)), drawn)


def test_ranks_share_an_epoch() -> None:
    whole = set(PairSampler(30, 70, 44, 0, 0, 1))
    ranks = [set(PairSampler(30, 70, 44, 0, rank, 2)) for rank in range(2)]
    assert [len(rank) for rank in ranks] == [22, 22]
    assert ranks[0] | ranks[1] == whole
