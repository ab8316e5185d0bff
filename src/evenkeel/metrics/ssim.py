"""Structural similarity of images and volumes, with a declared range."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from evenkeel.core.errors import UsageError
from evenkeel.metrics.batch import check_mask, kept
from evenkeel.metrics.images import DataRange
from evenkeel.metrics.score import Score, undefined
from evenkeel.metrics.statistics import Statistics
from evenkeel.tensors.wide import Wide

_K1, _K2 = 0.01, 0.03
_SLICE = slice(None)
_DIMENSIONS = (2, 3)


@dataclass(frozen=True, slots=True)
class Window:
    """The Gaussian window that SSIM looks through: 11 wide with sigma 1.5 in the article and in most since.

    Raises:
        UsageError: an even or negative size, or a sigma that is not positive.
    """

    size: int = 11
    sigma: float = 1.5

    def __post_init__(self) -> None:
        if self.size < 1 or self.size % 2 == 0 or not 0 < self.sigma < math.inf:
            raise UsageError(f"a window has an odd size and a positive sigma, not {self.size} and {self.sigma}")

    def weights(self, device: torch.device) -> Tensor:
        """Along one dimension: float64 [size], summing to 1."""
        at = torch.arange(self.size, dtype=torch.float64, device=device) - self.size // 2
        weights = torch.exp(-(at**2) / (2.0 * self.sigma**2))
        return weights / weights.sum()


@dataclass(frozen=True, slots=True, eq=False)
class Similarity(Statistics):
    """Sum over images of each image's mean SSIM.

    Windows that would reach beyond the border are left out, so nothing is padded. Variances are those of the window's
    weights, without the sample correction that some implementations make; K1 .01, K2 .03.

    Source: Wang, Bovik, Sheikh and Simoncelli (2004). Memory: 80 bytes; while a batch is measured, some ten times the
    batch in float64.
    """

    data_range: DataRange
    window: Window
    num_images: Wide
    num_empty: Wide
    num_bad: Wide
    num_outside: Wide
    sum: Wide

    @classmethod
    def empty(
        cls, data_range: DataRange, window: Window | None = None, device: torch.device | str = "cpu"
    ) -> Similarity:
        """Of no data."""
        return cls(data_range, window or Window(), *(Wide.zeros(1, device=device) for _ in range(5)))

    @classmethod
    def of(
        cls,
        prediction: Tensor,
        target: Tensor,
        data_range: DataRange,
        mask: Tensor | None = None,
        window: Window | None = None,
    ) -> Similarity:
        """Of one batch [B, channels, height, width] or [B, channels, depth, height, width].

        `mask`, bool of the same shape, says which pixels count as the centre of a window; the window itself sees all
        pixels around it. Channels are averaged. No sync.

        Raises:
            UsageError: shapes or dtypes that do not fit, or images smaller than the window.
        """
        window = window or Window()
        _check_shapes(prediction, target, window)
        p, t = (part.detach().to(torch.float64) for part in (prediction, target))
        margin = window.size // 2
        inner = (_SLICE, _SLICE, *(slice(margin, size - margin) for size in p.shape[2:]))
        counts = torch.ones_like(p, dtype=torch.bool) if mask is None else mask
        check_mask(counts, p.shape)
        counts = counts[inner].flatten(1)
        local = kept(counts, ssim_map(p, t, data_range.width, window.weights(p.device)).flatten(1))
        number = counts.sum(1)
        bad = (~torch.isfinite(p - t)).flatten(1).sum(1)
        sums = (torch.ones_like(number), number == 0, bad, data_range.num_outside(t))
        values = kept(number > 0, local.sum(1) / number)
        return cls(data_range, window, *(Wide.of(part.double().sum(0, keepdim=True)) for part in (*sums, values)))

    def score(self) -> Score:
        """The mean over images that have pixels that count; undefined where targets lie outside the declared range."""
        missing, outside, bad = int(self.num_empty.high), int(self.num_outside.high), int(self.num_bad.high)
        counted = int(self.num_images.high) - missing
        if outside:
            low, high = self.data_range.low, self.data_range.high
            reason = f"{outside:,} target values lie outside the declared range {low:g} to {high:g}"
            return undefined("1", "images", reason, missing=counted + missing)
        if counted == 0:
            return undefined("1", "images", "no pixels", missing=missing)
        reason = f"{bad:,} pixels are not finite" if bad else "no pixels" if missing else ""
        value = float(self.sum.high) / counted
        return Score(value=value, unit="1", of="images", counted=counted, undefined=missing, reason=reason)


def ssim_map(prediction: Tensor, target: Tensor, width: float, weights: Tensor) -> Tensor:
    """SSIM at each place where the window fits: float64 [B, channels, ...], smaller by size - 1 in each dimension."""
    mean_p, mean_t = _blurred(prediction, weights), _blurred(target, weights)
    var_p = _blurred(prediction * prediction, weights) - mean_p * mean_p
    var_t = _blurred(target * target, weights) - mean_t * mean_t
    cov = _blurred(prediction * target, weights) - mean_p * mean_t
    c1, c2 = (_K1 * width) ** 2, (_K2 * width) ** 2
    luminance = (2.0 * mean_p * mean_t + c1) / (mean_p**2 + mean_t**2 + c1)
    return luminance * (2.0 * cov + c2) / (var_p + var_t + c2)


def _blurred(images: Tensor, weights: Tensor) -> Tensor:
    """Weighted means along each dimension but the first two, where the window fits."""
    size = len(weights)
    for dimension in range(2, images.dim()):
        lines = images.movedim(dimension, -1)
        shape = lines.shape
        blurred = F.conv1d(lines.reshape(-1, 1, shape[-1]), weights.reshape(1, 1, size))
        images = blurred.reshape(*shape[:-1], shape[-1] - size + 1).movedim(-1, dimension)
    return images


def _check_shapes(prediction: Tensor, target: Tensor, window: Window) -> None:
    shape = target.shape
    if prediction.shape != shape or len(shape) - 2 not in _DIMENSIONS:
        raise UsageError(
            f"SSIM takes [samples, channels, height, width] or [samples, channels, depth, height, width], prediction "
            f"and target alike; these are {list(prediction.shape)} and {list(shape)}"
        )
    if min(shape[2:]) < window.size:
        raise UsageError(f"a window of {window.size} does not fit into images of {list(shape[2:])}")
