"""Where stages are trained: on the CPU, or on one GPU, where the cells then lie as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.data import Batch, CellBatches, Study
from evenkeel_recipes.virtual_cell.training.ranks import Ranks

CPU = torch.device("cpu")
MOST_RESIDENT = 8 * 2**30  # bytes of dense counts that a GPU is given; more stay sparse with the CPU, batch by batch


def device_of(asked: str, ranks: Ranks) -> torch.device:
    """The device of `--device`: "cpu", "cuda", or "auto" (a GPU where there is one and one process has it).

    Raises:
        Refused: a GPU was asked for, and there is none, or several processes are to share it.
    """
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise Refused("--device cuda: torch finds no GPU here; give --device cpu, or a build of torch with CUDA")
    if asked == "cuda" and ranks.size > 1:
        raise Refused(f"--device cuda: {ranks.size} processes train on CPUs; start one process for the GPU")
    return torch.device("cuda") if asked != "cpu" and there and ranks.size == 1 else CPU


class ResidentCells(Dataset[Batch]):
    """All cells as dense tensors on one device: 4 bytes a count, and no copy from the CPU in a step."""

    def __init__(self, study: Study, device: torch.device) -> None:
        self.every = moved(CellBatches(study).__getitems__(range(len(study))), device)

    def __len__(self) -> int:
        """How many cells."""
        return len(self.every.row)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """The cells in these rows."""
        at = torch.as_tensor(rows, device=self.every.row.device)
        return Batch._make(None if part is None else part[at] for part in self.every)

    def __getitem__(self, row: int) -> Batch:
        """One cell, as a batch of one."""
        return self.__getitems__([row])


class MovedCells(CellBatches):
    """Cells whose batches are made dense by the CPU and moved to a device one by one."""

    def __init__(self, study: Study, device: torch.device) -> None:
        super().__init__(study)
        self.device = device

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """The cells in these rows."""
        return moved(super().__getitems__(rows), self.device)


def cells_on(study: Study, device: torch.device) -> ResidentCells | CellBatches:
    """Cells for a `DataLoader`, whose batches lie on a device."""
    if device == CPU:
        return CellBatches(study)
    dense = 4 * int(np.prod(study.counts.shape))
    return ResidentCells(study, device) if dense <= MOST_RESIDENT else MovedCells(study, device)


def moved(batch: Batch, device: torch.device) -> Batch:
    """A batch on a device; itself where it lies there already."""
    return Batch._make(None if part is None else part.to(device) for part in batch)


@contextmanager
def fixed_noise(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers of a seed while the context lasts, and afterwards those that would have come."""
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device], device_type="cuda"):
        torch.manual_seed(seed)
        yield


def peaks_on(device: torch.device) -> Mapping[str, int]:
    """Most bytes that tensors took on a GPU so far, by name; nothing of the CPU, whose memory is told elsewhere."""
    return {} if device.type == "cpu" else {"peak_device_bytes": torch.cuda.max_memory_allocated(device)}


def device_of_model(model: torch.nn.Module) -> torch.device:
    """Where its parameters lie."""
    tensor: Tensor = next(model.parameters())
    return tensor.device
