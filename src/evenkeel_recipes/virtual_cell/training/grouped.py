"""Batches that hold enough cells of a condition to compare sets of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

CELLS_OF_A_CONDITION = 16


class OneConditionAfterTheOther(Sampler[list[int]]):
    """Places in an epoch, each once, in runs of 16 of one condition, the runs shuffled."""

    def __init__(self, group: Tensor, batch_size: int) -> None:
        """`group` int64 [cells]: what tells conditions apart."""
        self.group, self.runs = group, max(1, batch_size // CELLS_OF_A_CONDITION)

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of places, from torch's random state."""
        shuffled = torch.randperm(len(self.group))
        runs = [
            run
            for one in torch.unique(self.group)
            for run in torch.split(shuffled[self.group[shuffled] == one], CELLS_OF_A_CONDITION)
        ]
        order = torch.randperm(len(runs)).tolist()
        for start in range(0, len(order), self.runs):
            yield torch.cat([runs[place] for place in order[start : start + self.runs]]).tolist()

    def __len__(self) -> int:
        """How many batches."""
        sizes = torch.unique(self.group, return_counts=True)[1]
        num_runs = int(
            sizes.div(CELLS_OF_A_CONDITION, rounding_mode="floor").sum() + (sizes % CELLS_OF_A_CONDITION > 0).sum()
        )
        return math.ceil(num_runs / self.runs)
