"""What the flow is trained on: latents of a frozen encoder, computed once, and which start goes with which end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor
from torch.utils.data import Dataset

from evenkeel_recipes.virtual_cell.cells.data import CellBatches, Rows, Study
from evenkeel_recipes.virtual_cell.model.latents import FlowBatch, Posterior
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training.devices import CPU, device_of_model, moved
from evenkeel_recipes.virtual_cell.training.ranks import Ranks

CERTAIN = -60.0  # log-variance of a start that was drawn already: a standard deviation of 1e-13
MATCHED_AT_ONCE = 256  # the cost of matching grows with the third power
CELLS_AT_ONCE = 1024  # that are encoded
LEAST_CONTROLS = 50  # of a batch and type; with fewer, partners come from all batches of the type


class FlowBatches(Dataset[FlowBatch]):
    """Cells of stage 2 for a `DataLoader` with `collate_fn=whole`."""

    def __init__(
        self, study: Study, latents: Posterior, rows: Rows, starts: tuple[Tensor, Tensor], device: torch.device = CPU
    ) -> None:
        """`latents` are of all cells of the study; `starts` are mean and log-variance, one for each of `rows`."""
        kinds = (study.codes, study.treatment, study.batch, study.cell_type, rows)
        self.codes, self.treatment, self.batch, self.cell_type, self.rows = (
            torch.from_numpy(kind).to(device) for kind in kinds
        )
        self.spatial = None if study.spatial is None else torch.from_numpy(study.spatial).to(device)
        self.latents = Posterior(*(part.to(device) for part in latents))
        self.starts = tuple(part.to(device) for part in starts)
        self.group = self.treatment * len(study.vocabulary.cell_types) + self.cell_type

    def __len__(self) -> int:
        """How many cells."""
        return len(self.rows)

    def __getitems__(self, places: Sequence[int]) -> FlowBatch:
        """The cells in these places of `rows`."""
        at = torch.as_tensor(places, device=self.rows.device)
        row = self.rows[at]
        return FlowBatch(
            mean=self.latents.mean[row], log_var=self.latents.log_var[row],
            start_mean=self.starts[0][at], start_log_var=self.starts[1][at],
            code=self.codes[self.treatment[row]], batch=self.batch[row], cell_type=self.cell_type[row],
            spatial=None if self.spatial is None else self.spatial[row], group=self.group[row], row=row,
        )  # fmt: skip

    def __getitem__(self, place: int) -> FlowBatch:
        """One cell, as a batch of one."""
        return self.__getitems__([place])


def posteriors(model: VirtualCell, study: Study, rows: Rows, ranks: Ranks | None = None) -> Posterior:
    """Posteriors of these cells, without gradient and without dropout; computed where the model is, kept by the CPU.

    Several ranks take turns with pieces of the same size, so that all end with the bits that one process would have.
    """
    model.parts.posterior_mode(model)
    ranks, cells, device = ranks or Ranks(), CellBatches(study), device_of_model(model)
    some = [rows[start : start + CELLS_AT_ONCE] for start in range(0, len(rows), CELLS_AT_ONCE)]
    widths = [model.sizes.dim_int] * 2 + [model.sizes.dim_tech] * 2
    found = [torch.empty(len(piece), sum(widths)) for piece in some]
    with torch.no_grad():
        for number in range(ranks.rank, len(some), ranks.size):
            batch = moved(cells.__getitems__(some[number].tolist()), device)
            found[number] = torch.cat(model.encode(batch.counts, batch.batch, batch.cell_type), 1).cpu()
    every = torch.cat([ranks.given(piece, number % ranks.size) for number, piece in enumerate(found)])
    return Posterior(*(part.contiguous() for part in torch.split(every, widths, 1)))


def sha256_of(latents: Posterior) -> str:
    """What tells two caches apart."""
    digest = hashlib.sha256()
    for tensor in latents:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Pairing:
    """How the starts of an epoch are chosen.

    Attributes:
        source: "control" or "noise".
        matched: whether starts and ends are matched so that paths are short, within each condition.
        latents: of all cells of the study.
        controls: rows of the control cells that may be starts.
    """

    source: str
    matched: bool
    study: Study
    latents: Posterior
    controls: Rows


def starts_of(pairing: Pairing, rows: Rows, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of a start for each of `rows`: of a control cell of the same context, or of noise."""
    latents = pairing.latents
    if pairing.source == "control":
        partner = partners(pairing, rows, rng)
        return latents.mean[partner], latents.log_var[partner]
    mean = torch.zeros(len(rows), latents.mean.shape[1])
    if not pairing.matched:
        return mean, torch.zeros_like(mean)
    noise = rng.standard_normal(mean.shape).astype(np.float32)
    ends = latents.mean.numpy()
    for places in _conditions(pairing.study, rows):
        for some in _chunks(rng.permutation(places)):
            noise[some] = noise[some][_matched(ends[rows[some]], noise[some])]
    return torch.from_numpy(noise), torch.full_like(mean, CERTAIN)


def partners(pairing: Pairing, rows: Rows, rng: np.random.Generator) -> Rows:
    """A control cell (row of the study) for each of `rows`, of its type, and of its batch where that has 50 or more."""
    chosen = np.zeros(len(rows), dtype=np.int64)
    ends = pairing.latents.mean.numpy()
    for places in _conditions(pairing.study, rows):
        for some, pool in _by_batch(pairing, rows, places):
            for here in _chunks(rng.permutation(some)):
                drawn = _as_many(pool, len(here), rng)
                chosen[here] = drawn[_matched(ends[rows[here]], ends[drawn])] if pairing.matched else drawn
    return chosen


def _by_batch(pairing: Pairing, rows: Rows, places: Rows) -> list[tuple[Rows, Rows]]:
    study, controls = pairing.study, pairing.controls
    kind = study.cell_type[rows[places[0]]]
    of_type = controls[study.cell_type[controls] == kind]
    of_type = of_type if len(of_type) else controls  # a type without controls begins as the others do
    groups: list[tuple[Rows, Rows]] = []
    batches = study.batch[rows[places]]
    for batch in np.unique(batches):
        pool = of_type[study.batch[of_type] == batch]
        groups.append((places[batches == batch], pool if len(pool) >= LEAST_CONTROLS else of_type))
    if all(pool is of_type for _, pool in groups):
        return [(places, of_type)]
    return groups


def _conditions(study: Study, rows: Rows) -> list[Rows]:
    key = study.treatment[rows] * len(study.vocabulary.cell_types) + study.cell_type[rows]
    order = np.argsort(key, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(key[order])) + 1)


def _chunks(places: Rows) -> list[Rows]:
    return np.array_split(places, max(1, -(-len(places) // MATCHED_AT_ONCE)))


def _as_many(pool: Rows, number: int, rng: np.random.Generator) -> Rows:
    """`number` of the pool, each as often as the others but for one."""
    whole = np.tile(pool, number // len(pool))
    return np.concatenate([whole, rng.choice(pool, number - len(whole), replace=False)])


def _matched(ends: NDArray[np.float32], starts: NDArray[np.float32]) -> Rows:
    """For each end its start, so that the sum of squared distances is least."""
    return np.asarray(linear_sum_assignment(cdist(ends, starts, "sqeuclidean"))[1], dtype=np.int64)


def stds_of_conditions(study: Study, rows: Rows, latents: Posterior) -> Tensor:
    """Standard deviation of latents of these cells within each condition, [conditions with 2 cells or more, dim]."""
    found = []
    for places in _conditions(study, rows):
        here = torch.from_numpy(rows[places])
        if len(here) > 1:
            found.append((latents.mean[here].var(0) + latents.log_var[here].exp().mean(0)).sqrt())
    return torch.stack(found)
