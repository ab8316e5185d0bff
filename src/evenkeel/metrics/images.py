"""Errors of images: NMSE, RMSE and PSNR, of each image and of the whole set, with a declared range."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.metrics.batch import check_mask, kept
from evenkeel.metrics.score import Score, undefined
from evenkeel.metrics.statistics import Statistics
from evenkeel.tensors.wide import Wide

_LEAST_DIMENSIONS = 2


@dataclass(frozen=True, slots=True)
class DataRange:
    """The smallest and the largest value that the data can take, by its making and not by what a batch happens to hold.

    Raises:
        UsageError: not two finite numbers, the first one smaller.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UsageError(
                f"a data range goes from a finite number to a larger one, not from {self.low} to {self.high}"
            )

    @property
    def width(self) -> float:
        """What PSNR and SSIM call the data range."""
        return self.high - self.low

    def num_outside(self, values: Tensor) -> Tensor:
        """How many values lie outside, for each image [B]."""
        return ((values < self.low) | (values > self.high)).flatten(1).sum(1)


@dataclass(frozen=True, slots=True, eq=False)
class ImageErrors(Statistics):
    """Sums over images and over pixels, for means over images and for values of the whole set.

    A mean over images is not the value of the whole set; articles use either, so both are here and named. Targets
    outside the declared range make PSNR undefined: the range is wrong then, and PSNR with it.

    Error: 1e-15. Memory: 208 bytes in all. See `of` for the edges.
    """

    data_range: DataRange
    num_images: Wide
    num_empty: Wide  # images without a pixel that counts
    num_dark: Wide  # images whose target is 0 throughout: no NMSE
    num_exact: Wide  # images without error: infinite PSNR
    num_bad: Wide  # pixels that are not finite
    num_outside: Wide
    nmse: Wide  # sums over images
    mse: Wide
    rmse: Wide
    psnr: Wide
    pixels: Wide  # sums over pixels
    square: Wide
    energy: Wide

    @classmethod
    def empty(cls, data_range: DataRange, device: torch.device | str = "cpu") -> ImageErrors:
        """Of no data."""
        return cls(data_range, *(Wide.zeros(1, device=device) for _ in range(13)))

    @classmethod
    def of(cls, prediction: Tensor, target: Tensor, data_range: DataRange, mask: Tensor | None = None) -> ImageErrors:
        """Of one batch of images [B, ...]; `mask` bool of the same shape, for pixels that count. No sync.

        NMSE is sum (p - t)^2 / sum t^2, PSNR is 10 log10(width^2 / MSE).

        Raises:
            UsageError: shapes or dtypes that do not fit.
        """
        p, t, counts = _images(prediction, target, mask)
        number = counts.sum(1)
        square = kept(counts, (p - t) ** 2).sum(1)
        energy = kept(counts, t * t).sum(1)
        seen, dark = number > 0, energy == 0
        mse = square / number
        psnr = 10.0 * torch.log10(data_range.width**2 / mse)
        outside = data_range.num_outside(torch.where(counts, t, data_range.low))
        sums = (
            torch.ones_like(mse), ~seen, seen & dark, seen & (square == 0),
            (counts & ~torch.isfinite(p - t)).sum(1), outside,
            kept(seen & ~dark, square / energy), kept(seen, mse), kept(seen, mse.sqrt()), kept(seen, psnr),
            number, square, energy,
        )  # fmt: skip
        return cls(data_range, *(Wide.of(part.double().sum(0, keepdim=True)) for part in sums))

    def image_nmse(self) -> Score:
        """The mean NMSE of images; those whose target is 0 throughout have none."""
        return self._over_images(self.nmse, self.num_empty + self.num_dark, "1", "a target of zeros, or no pixels")

    def image_rmse(self) -> Score:
        """The mean RMSE of images."""
        return self._over_images(self.rmse, self.num_empty, "target units", "no pixels")

    def image_psnr(self) -> Score:
        """The mean PSNR of images; infinite when an image has no error at all."""
        refused = self._refused("images")
        return refused or self._over_images(self.psnr, self.num_empty, "dB", "no pixels")

    def set_nmse(self) -> Score:
        """Sum of square errors over sum of squares, both over all pixels."""
        return self._over_pixels(self.square.high / self.energy.high, "1", "targets of zeros")

    def set_rmse(self) -> Score:
        """The RMSE of all pixels."""
        return self._over_pixels(self.square.over(self.pixels.high).high.sqrt(), "target units", "no pixels")

    def set_psnr(self) -> Score:
        """PSNR from the MSE of all pixels; infinite without any error."""
        mse = self.square.over(self.pixels.high).high
        refused = self._refused("pixels")
        return refused or self._over_pixels(10.0 * torch.log10(self.data_range.width**2 / mse), "dB", "no pixels")

    def score(self) -> Score:
        """The mean PSNR of images."""
        return self.image_psnr()

    def _refused(self, of: str) -> Score | None:
        outside = int(self.num_outside.high)
        if outside == 0:
            return None
        low, high = self.data_range.low, self.data_range.high
        reason = f"{outside:,} target values lie outside the declared range {low:g} to {high:g}"
        members = self.num_images if of == "images" else self.pixels
        return undefined("dB", of, reason, missing=int(members.high))

    def _over_images(self, total: Wide, without: Wide, unit: str, why: str) -> Score:
        missing = int(without.high)
        counted = int(self.num_images.high) - missing
        if counted == 0:
            return undefined(unit, "images", why, missing=missing)
        reason = self._bad() or (why if missing else "") or self._exact(float(total.high))
        value = float(total.high) / counted
        return Score(value=value, unit=unit, of="images", counted=counted, undefined=missing, reason=reason)

    def _over_pixels(self, value: Tensor, unit: str, why: str) -> Score:
        counted, result = int(self.pixels.high), float(value)
        reason = self._bad() or (why if math.isnan(result) or math.isinf(result) else "")
        return Score(value=result, unit=unit, of="pixels", counted=counted, reason=reason)

    def _bad(self) -> str:
        num = int(self.num_bad.high)
        return f"{num:,} pixels are not finite" if num else ""

    def _exact(self, total: float) -> str:
        return f"{int(self.num_exact.high):,} images have no error" if math.isinf(total) else ""


def _images(prediction: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Images as rows of float64 pixels, and which pixels count."""
    shape = target.shape
    if prediction.shape != shape or len(shape) < _LEAST_DIMENSIONS:
        raise UsageError(
            f"images come as [samples, ...], prediction and target alike; these are {list(prediction.shape)} and "
            f"{list(shape)}"
        )
    counts = torch.ones(shape, dtype=torch.bool, device=target.device) if mask is None else mask
    check_mask(counts, shape)
    p, t = (part.detach().to(torch.float64).reshape(shape[0], math.prod(shape[1:])) for part in (prediction, target))
    return p, t, counts.reshape(p.shape)
