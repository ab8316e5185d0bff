"""Cells with what was done to them, and how they are handed out in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor
from torch.utils.data import Dataset

from evenkeel_recipes.virtual_cell.cells.conditions import Treatment, Vocabulary, codes

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Study:
    """Cells of a perturbation screen.

    Attributes:
        counts: [cells, genes] float32, whole numbers; stays sparse.
        treatments: each kind of treatment once; the control is one of them.
        treatment, batch, cell_type: [cells] int64, positions in `treatments` and in the vocabulary.
        spatial: [cells, 2 or 3] float32, standardised; None without.
        names: [cells], of the cells.
        features: [perturbations, features] float32, what codes are multiplied with; the identity without a file.
        notices: sentences that a person ought to read.
    """

    vocabulary: Vocabulary
    counts: sparse.csr_matrix
    treatments: tuple[Treatment, ...]
    treatment: Rows
    batch: Rows
    cell_type: Rows
    spatial: NDArray[np.float32] | None
    names: NDArray[np.str_]
    features: NDArray[np.float32]
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many cells."""
        return len(self.treatment)

    @property
    def sha256(self) -> str:
        """What tells two studies apart: names, counts, and what was done to each cell."""
        digest = hashlib.sha256(self.vocabulary.sha256.encode())
        for part in (self.counts.data, self.counts.indices, self.counts.indptr, self.treatment, self.batch,
                     self.cell_type):  # fmt: skip
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    @property
    def library(self) -> NDArray[np.float32]:
        """[cells] counts of each cell over the model's genes."""
        return np.asarray(self.counts.sum(1), dtype=np.float32).ravel()

    @property
    def codes(self) -> NDArray[np.float32]:
        """[treatments, perturbations], see `conditions.codes`."""
        return codes(self.treatments, self.vocabulary)

    @property
    def control(self) -> int:
        """Position of the control in `treatments`."""
        return next(place for place, treatment in enumerate(self.treatments) if treatment.is_control)

    def condition(self, treatment: int, cell_type: int) -> str:
        """`A+B@type`, as people write it."""
        return f"{self.vocabulary.name(self.treatments[treatment])}@{self.vocabulary.cell_types[cell_type]}"

    def take(self, rows: Rows) -> Study:
        """Some of the cells; the names stay those of all."""
        spatial = None if self.spatial is None else self.spatial[rows]
        return replace(
            self, counts=self.counts[rows], treatment=self.treatment[rows], batch=self.batch[rows],
            cell_type=self.cell_type[rows], spatial=spatial, names=self.names[rows],
        )  # fmt: skip

    def cells_of(self, treatment: int, cell_type: int) -> Rows:
        """Rows with this treatment in this type."""
        return np.flatnonzero((self.treatment == treatment) & (self.cell_type == cell_type))


class Batch(NamedTuple):
    """Cells of one step: counts float32 [B, genes], codes float32 [B, perturbations], places int64 [B]."""

    counts: Tensor
    code: Tensor
    batch: Tensor
    cell_type: Tensor
    spatial: Tensor | None
    row: Tensor


class CellBatches(Dataset[Batch]):
    """Cells for a `DataLoader` with `collate_fn=whole`: the rows of a batch are made dense together, not one by one."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.codes = torch.from_numpy(study.codes)

    def __len__(self) -> int:
        """How many cells."""
        return len(self.study)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """The cells in these rows."""
        study, at = self.study, np.asarray(rows, dtype=np.int64)
        return Batch(
            counts=torch.from_numpy(study.counts[at].toarray()),
            code=self.codes[torch.from_numpy(study.treatment[at])],
            batch=torch.from_numpy(study.batch[at]),
            cell_type=torch.from_numpy(study.cell_type[at]),
            spatial=None if study.spatial is None else torch.from_numpy(study.spatial[at]),
            row=torch.from_numpy(at),
        )

    def __getitem__(self, row: int) -> Batch:
        """One cell, as a batch of one."""
        return self.__getitems__([row])


def whole(batch: Any) -> Any:  # noqa: ANN401  # DataLoader's own type: of whatever the dataset gives
    """What these datasets hand out is a batch already."""
    return batch


def pieces(study: Study, rows: Rows, size: int = 1024) -> Iterator[Batch]:
    """Rows in their order, in batches."""
    cells = CellBatches(study)
    for start in range(0, len(rows), size):
        yield cells.__getitems__(rows[start : start + size].tolist())
