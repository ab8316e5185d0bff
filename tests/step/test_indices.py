"""The indices that samplers drew, batch by batch, whatever was fetched ahead."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, Subset, TensorDataset

from evenkeel.step.hooks import listening

from .conftest import Heard

DATA = TensorDataset(torch.arange(20))


class Stream(IterableDataset[int]):
    """Numbers without indices."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(6))


class Keyed(torch.utils.data.Dataset[int]):
    """A data set whose keys are words."""

    def __getitem__(self, key: str) -> int:
        return len(key)


@pytest.mark.parametrize(
    "how",
    [
        {"batch_size": 3},
        {"batch_size": 3, "shuffle": True},
        {"batch_size": 3, "shuffle": True, "num_workers": 2},
        {"batch_size": 3, "num_workers": 2, "persistent_workers": True},
        {"batch_sampler": BatchSampler(RandomSampler(DATA), 3, drop_last=True)},
        {"batch_size": None},
    ],
    ids=["in order", "shuffled", "workers", "persistent workers", "batch sampler", "one by one"],
)
def test_indices_are_those_of_the_rows(how: dict[str, Any], heard: Heard) -> None:
    """The data set counts its own elements, so each batch tells its indices."""
    with listening(heard):
        loader = DataLoader(DATA, **how)
        for _epoch in range(2):
            for number, _ in enumerate(loader):
                if number == 2:
                    break  # with workers, more has been fetched by now
    batches = [event[2][0].reshape(-1).tolist() for event in heard.events if event[0] == "batch"]
    assert len(batches) == 6
    assert heard.indices == [tuple(batch) for batch in batches]


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(Stream(), batch_size=2),
        DataLoader(Keyed(), batch_size=2, sampler=["a", "bb", "ccc"]),
        DataLoader(DATA, batch_size=4, num_workers=2, in_order=False),
    ],
    ids=["stream", "keys", "out of order"],
)
def test_nothing_is_told_where_nothing_is_known(loader: DataLoader[Any], heard: Heard) -> None:
    """No index rather than a wrong one."""
    with listening(heard):
        assert len(list(loader)) >= 2
    assert set(heard.indices) == {()}


def test_subset_tells_its_own_indices(heard: Heard) -> None:
    """They are those of the data set that the loader was given."""
    with listening(heard):
        rows: list[list[Tensor]] = list(DataLoader(Subset(DATA, [7, 5, 3]), batch_size=2))
    assert [batch[0].tolist() for batch in rows] == [[7, 5], [3]]
    assert heard.indices == [(0, 1), (2,)]
