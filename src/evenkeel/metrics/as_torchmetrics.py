"""The same metrics as TorchMetrics classes, for Lightning and other code that logs and syncs these; an extra.

    metric = BitsPerSpike(num_cells=120)
    metric.update(rates, counts, mask)       # or metric(rates, counts, mask), or self.log("val_bps", metric)
    metric.compute()                         # float64 tensor; NaN where undefined
    metric.score()                           # with the population behind it, and the reason

Syncing is TorchMetrics' own: one all_gather a state. `evenkeel.metrics.reduced` takes one sum for all metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from evenkeel.metrics.distances import TwoSamples
from evenkeel.metrics.epoch import joined_sums, with_parts
from evenkeel.metrics.errors import Errors
from evenkeel.metrics.images import DataRange, ImageErrors
from evenkeel.metrics.masked import MaskedMean
from evenkeel.metrics.paired import Paired
from evenkeel.metrics.poisson import PoissonFit
from evenkeel.metrics.ranking import Auroc, Spearman
from evenkeel.metrics.score import Score
from evenkeel.metrics.ssim import Similarity
from evenkeel.metrics.statistics import Rows, Statistics, leaves
from evenkeel.tensors.wide import Wide

try:
    from torchmetrics import Metric
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "evenkeel.metrics.as_torchmetrics needs torchmetrics: pip install 'evenkeel[torchmetrics]'", name="torchmetrics"
    ) from missing


class EpochMetric(Metric):
    """Any statistics of evenkeel as a TorchMetrics metric.

    Args:
        start: the statistics of no data, which fix sizes and settings.
        of: the statistics of one batch; called with what `update` is called with.
        closed: the value of all of it.
        settings: of `torchmetrics.Metric`.
    """

    sums: Tensor
    is_differentiable = False
    full_state_update = False

    def __init__(
        self,
        start: Statistics,
        of: Callable[..., Statistics],
        closed: Callable[[Any], Score],
        **settings: Any,  # noqa: ANN401  # whatever torchmetrics takes
    ) -> None:
        super().__init__(**settings)
        self.set_dtype(torch.float64)  # also that of the empty lists which ranks without data bring
        self._start, self._of, self._closed = start, of, closed
        self._found: Score | None = None
        self._widths = [leaf.width for leaf in leaves(start) if isinstance(leaf, Rows)]
        sums = joined_sums(start)
        self.add_state("sums", torch.stack([sums.high, sums.low]), dist_reduce_fx=_added)
        for n in range(len(self._widths)):
            self.add_state(f"rows{n}", [], dist_reduce_fx="cat")  # flat, because an empty list has no width

    def update(self, *batch: Any) -> None:  # noqa: ANN401  # whatever the statistics are made of
        """Take in one batch; see `of` of the statistics for shapes and errors."""
        new = self._of(*batch)
        sums = joined_sums(new)
        self.sums = _added(torch.stack([self.sums, torch.stack([sums.high, sums.low]).to(self.sums.device)]))
        kept = [leaf for leaf in leaves(new) if isinstance(leaf, Rows)]
        for n, rows in enumerate(kept):
            getattr(self, f"rows{n}").extend(piece.flatten() for piece in rows.pieces)

    def compute(self) -> Tensor:
        """The value as a float64 tensor of shape []; NaN where it is undefined."""
        self._found = self._closed(self.statistics())
        return torch.tensor(self._found.value, dtype=torch.float64, device=self.device)

    def score(self) -> Score:
        """The value with its population; syncs as `compute` does."""
        self.compute()
        if self._found is None:
            raise RuntimeError("compute() of this metric was replaced, so there is no score to show")
        return self._found

    def statistics(self) -> Statistics:
        """What was taken in so far; over all ranks while synced."""
        rows = [_shaped(getattr(self, f"rows{n}"), width) for n, width in enumerate(self._widths)]
        return with_parts(self._start, Wide(self.sums[0], self.sums[1]), rows)


class BitsPerSpike(EpochMetric):
    """Pooled bits per spike; update with rates, counts and a mask. See `PoissonFit.score`."""

    higher_is_better = True

    def __init__(self, num_cells: int, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(PoissonFit.empty(num_cells), PoissonFit.of, PoissonFit.score, **settings)


class MeanBitsPerSpike(EpochMetric):
    """The mean of bits per spike over cells that have spikes. See `PoissonFit.bits_per_spike`."""

    higher_is_better = True

    def __init__(self, num_cells: int, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(PoissonFit.empty(num_cells), PoissonFit.of, _mean_bits, **settings)


class Concordance(EpochMetric):
    """Lin's concordance over all elements; update with prediction, target and a mask. See `Paired.concordance`."""

    higher_is_better = True

    def __init__(self, num_groups: int = 1, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(Paired.empty(num_groups), Paired.of, Paired.score, **settings)


class Pearson(EpochMetric):
    """Pearson's correlation over all elements. See `Paired.pearson`."""

    higher_is_better = True

    def __init__(self, num_groups: int = 1, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(Paired.empty(num_groups), Paired.of, _pearson, **settings)


class MeanAbsoluteError(EpochMetric):
    """MAE over all elements. See `Errors.mae`."""

    higher_is_better = False

    def __init__(self, num_groups: int = 1, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(Errors.empty(num_groups), Errors.of, Errors.score, **settings)


class Mean(EpochMetric):
    """The mean of what a mask leaves, such as a loss; update with values and a mask. See `MaskedMean`."""

    def __init__(self, num_groups: int = 1, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(MaskedMean.empty(num_groups), MaskedMean.of, MaskedMean.score, **settings)


class Psnr(EpochMetric):
    """The mean PSNR of images; update with prediction and target. See `ImageErrors.image_psnr`."""

    higher_is_better = True

    def __init__(self, data_range: DataRange, **settings: Any) -> None:  # noqa: ANN401
        of = partial(ImageErrors.of, data_range=data_range)
        super().__init__(ImageErrors.empty(data_range), of, ImageErrors.score, **settings)


class Ssim(EpochMetric):
    """The mean SSIM of images; update with prediction and target. See `Similarity`."""

    higher_is_better = True

    def __init__(self, data_range: DataRange, **settings: Any) -> None:  # noqa: ANN401
        of = partial(Similarity.of, data_range=data_range)
        super().__init__(Similarity.empty(data_range), of, Similarity.score, **settings)


class RankCorrelation(EpochMetric):
    """Spearman's correlation, exact; keeps every pair. See `Spearman`."""

    higher_is_better = True

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(Spearman.empty(), Spearman.of, Spearman.score, **settings)


class AreaUnderRoc(EpochMetric):
    """AUROC, exact; keeps every score. See `Auroc`."""

    higher_is_better = True

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(Auroc.empty(), Auroc.of, Auroc.score, **settings)


class EnergyDistance(EpochMetric):
    """The energy distance; update with two sets of samples, which are kept. See `TwoSamples.energy`."""

    higher_is_better = False

    def __init__(self, num_features: int, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(TwoSamples.empty(num_features), TwoSamples.of, TwoSamples.energy, **settings)


def _added(stacked: Tensor) -> Tensor:
    """Wide numbers [parts, 2, numbers] added to [2, numbers]."""
    first, *others = (Wide(part[0], part[1]) for part in stacked)
    for other in others:
        first = first + other
    return torch.stack([first.high, first.low])


def _shaped(state: Tensor | list[Tensor], width: int) -> Rows:
    """The rows of one state: a list before syncing, one tensor after."""
    pieces = [state] if isinstance(state, Tensor) else state
    return Rows(width, tuple(piece.reshape(-1, width) for piece in pieces))


def _pearson(statistics: Paired) -> Score:
    return statistics.pooled().pearson()[0]


def _mean_bits(statistics: PoissonFit) -> Score:
    return statistics.bits_per_spike().mean()
