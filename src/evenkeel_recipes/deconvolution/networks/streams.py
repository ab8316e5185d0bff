"""Two streams, cells and bulk samples, shuffled by themselves and handed out in pairs of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from evenkeel import ops
from evenkeel_recipes.deconvolution.data.mixtures import TARGET_SUM
from evenkeel_recipes.deconvolution.data.reference import Reference
from evenkeel_recipes.deconvolution.likelihoods.likelihood import Fitted

ROWS_AT_ONCE = 1000


class Batch(NamedTuple):
    """Cells beside bulk samples, B of each.

    Attributes:
        cells: [B, G] float32, counts per ten thousand, linear.
        labels: [B] int64, types of the cells.
        estimates: [B, E, K] float32, cell fractions by the likelihoods.
        misfit: [B] float32, log overdispersion.
        expression: [B, G] float32, what the network reads of the bulk.
        observed: [B, G] float32, what the mix is compared with: the composition of the bulk.
        negentropy: [B] float32, Σ b·log b of it.
        fractions: [B, K] float32, the truth.
    """

    cells: Tensor
    labels: Tensor
    estimates: Tensor
    misfit: Tensor
    expression: Tensor
    observed: Tensor
    negentropy: Tensor
    fractions: Tensor


@dataclass(frozen=True, slots=True)
class Samples:
    """Bulk samples with what the likelihoods say and with their truth; all tensors have a row a sample."""

    estimates: Tensor
    misfit: Tensor
    expression: Tensor
    observed: Tensor
    negentropy: Tensor
    fractions: Tensor

    @classmethod
    def of(
        cls,
        fitted: Fitted,
        view: NDArray[np.float32],
        fractions: NDArray[np.float64],
        target: Callable[[Tensor], Tensor],
    ) -> Samples:
        """In single precision; `target` makes of the view what the mix is compared with, once for all epochs."""
        expression = torch.from_numpy(view)
        observed = target(expression)
        return cls(
            torch.from_numpy(fitted.estimates).float(),
            torch.from_numpy(fitted.misfit).float(),
            expression,
            observed,
            torch.cat([ops.xlogx(piece).sum(-1) for piece in torch.split(observed, ROWS_AT_ONCE)]),
            torch.from_numpy(fractions).float(),
        )

    def __len__(self) -> int:
        return len(self.misfit)


class Cells:
    """Cells, kept sparse; a batch of them is made dense when it is asked for."""

    def __init__(self, reference: Reference) -> None:
        totals = np.asarray(reference.counts.sum(1)).ravel()
        pieces = [
            sparse.csr_matrix(sparse.diags(TARGET_SUM / totals[rows]) @ reference.counts[rows], dtype=np.float32)
            for rows in _in_pieces(len(totals))
        ]
        self._scaled = sparse.vstack(pieces, format="csr")
        self._labels = torch.from_numpy(reference.labels)

    def __len__(self) -> int:
        return len(self._labels)

    def rows(self, chosen: list[int]) -> tuple[Tensor, Tensor]:
        """Counts per ten thousand [B, G] float32, and types [B]."""
        return torch.from_numpy(self._scaled[chosen].toarray()), self._labels[chosen]

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of log1p of counts per ten thousand for each gene, over all cells: [G] float32 each.

        A gene that does not vary gets the deviation 1: its column is then 0, as it should be.
        """
        total, squares = np.zeros((2, self._scaled.shape[1]))
        for rows in _in_pieces(len(self)):
            logs = (
                self._scaled[rows].astype(np.float64).log1p()
            )  # in single precision a gene that hardly varies is lost
            total += np.asarray(logs.sum(0)).ravel()
            squares += np.asarray(logs.multiply(logs).sum(0)).ravel()
        mean, square = total / len(self), squares / len(self)
        deviation = np.sqrt(np.maximum(square - mean**2, 0))  # rounding may leave -1e-9 where a gene is constant
        deviation[deviation == 0] = 1
        return torch.from_numpy(mean).float(), torch.from_numpy(deviation).float()


def _in_pieces(size: int) -> Iterator[slice]:
    """Rows in portions, so that what is made of them on the way is small beside them."""
    return (slice(start, start + ROWS_AT_ONCE) for start in range(0, size, ROWS_AT_ONCE))


EpochLength = Callable[[int, int], int]
LENGTHS: Mapping[str, EpochLength] = {"bulk": lambda n_samples, _: n_samples, "max": max}


def epoch_length(asked: str) -> EpochLength:
    """Of numbers of bulk samples and cells, the number of pairs in an epoch.

    Args:
        asked: "bulk", "max" (of both), or a whole number above 0.

    Raises:
        click.UsageError: it is none of these.
    """
    if asked in LENGTHS:
        return LENGTHS[asked]
    if not asked.isdecimal() or int(asked) == 0:
        raise click.UsageError(f"--epoch-len is {asked!r}; allowed are {', '.join(LENGTHS)} or a number from 1 up")
    return lambda n_samples, n_cells: int(asked)  # noqa: ARG005  one signature for all


class Pairs(Dataset[Batch]):
    """Item (i, j): the bulk sample i beside the cell j."""

    def __init__(self, samples: Samples, cells: Cells) -> None:
        self.samples = samples
        self.cells = cells

    def __len__(self) -> int:
        return len(self.samples)

    def __getitems__(self, pairs: list[tuple[int, int]]) -> Batch:
        """A whole batch at once."""
        bulk = [pair[0] for pair in pairs]
        cells, labels = self.cells.rows([pair[1] for pair in pairs])
        chosen = self.samples
        return Batch(
            cells,
            labels,
            chosen.estimates[bulk],
            chosen.misfit[bulk],
            chosen.expression[bulk],
            chosen.observed[bulk],
            chosen.negentropy[bulk],
            chosen.fractions[bulk],
        )


class PairSampler(Sampler[Any]):  # pairs of positions; torch knows samplers of single ones only
    """Both streams in an order of their own, drawn anew each epoch from seed and epoch, so that a run can be resumed.

    An epoch has `n_pairs`; what is shorter than that goes round as often as it takes. Ranks take turns.
    """

    def __init__(self, n_samples: int, n_cells: int, n_pairs: int, seed: int, rank: int, world: int) -> None:
        self._sizes = (n_samples, n_cells)
        self._n_pairs = n_pairs
        self._seed = seed
        self._rank, self._world = rank, world
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n_pairs // self._world

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Pairs of positions."""
        rng = np.random.default_rng((self._seed, self._epoch))
        samples, cells = (_in_rounds(rng, size, self._n_pairs) for size in self._sizes)
        whole = len(self) * self._world
        yield from zip(
            samples[self._rank : whole : self._world].tolist(),
            cells[self._rank : whole : self._world].tolist(),
            strict=True,
        )


def _in_rounds(rng: np.random.Generator, size: int, length: int) -> NDArray[np.int64]:
    rounds = -(-length // size)
    return np.concatenate([rng.permutation(size) for _ in range(rounds)])[:length]


def training_loader(pairs: Pairs, n_pairs: int, batch_size: int, seed: int, rank: int, world: int) -> DataLoader[Batch]:
    """Batches of `batch_size` over all ranks, `n_pairs` an epoch; what does not fill a batch at its end is left out."""
    sampler = PairSampler(len(pairs), len(pairs.cells), n_pairs, seed, rank, world)
    batches = BatchSampler(sampler, min(batch_size, n_pairs) // world, drop_last=True)
    # A generator of its own: making an iterator draws a number, which noise and dropout must not notice.
    return DataLoader(pairs, batch_sampler=batches, collate_fn=_as_it_is, generator=torch.Generator())


def validation_loader(pairs: Pairs, batch_size: int, rank: int, world: int) -> DataLoader[Batch]:
    """Each bulk sample once over all ranks, in order, each beside a cell; no sample is there twice."""
    order: list[Any] = [(row, row % len(pairs.cells)) for row in range(rank, len(pairs), world)]
    batches = BatchSampler(order, batch_size, drop_last=False)
    return DataLoader(pairs, batch_sampler=batches, collate_fn=_as_it_is, generator=torch.Generator())


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401  torch's signature speaks of a list of items
    return batch
