"""SSIM, window by window, in two and three dimensions."""

import math

import numpy as np
import pytest
import torch
from tests.metrics.twins import similarity

from evenkeel.core.errors import UsageError
from evenkeel.metrics import DataRange, Similarity, Window

UNIT = DataRange(0.0, 1.0)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Between 0 and 1."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_image_is_like_itself_and_unlike_its_opposite() -> None:
    """1, and below 0."""
    t = noise(2, 3, 16, 16)
    assert Similarity.of(t, t, UNIT).score().value == pytest.approx(1.0, abs=1e-12)
    assert Similarity.of(1 - t, t, UNIT).score().value < 0
    assert Similarity.of(t, t, UNIT).score().counted == 2


def test_smaller_window_by_definition() -> None:
    """Window by window in NumPy."""
    p, t = noise(1, 1, 9, 12), noise(1, 1, 9, 12, seed=1)
    expected = similarity(p[0, 0].numpy(), t[0, 0].numpy(), np.ones((9, 12), dtype=bool), 5, 0.8)
    assert Similarity.of(p, t, UNIT, window=Window(5, 0.8)).score().value == pytest.approx(expected, rel=1e-12)


def test_volume_whose_slices_are_alike_is_like_its_slice() -> None:
    """Along the third dimension nothing varies, so nothing changes."""
    p, t = noise(1, 1, 13, 14), noise(1, 1, 13, 14, seed=1)
    flat = Similarity.of(p, t, UNIT).score().value
    deep = Similarity.of(*(x[:, :, None].expand(-1, -1, 12, -1, -1) for x in (p, t)), UNIT).score().value
    assert deep == pytest.approx(flat, rel=1e-10)


def test_range_decides() -> None:
    """Values in Hounsfield units with their range are as alike as on [0, 1]; with the wrong range, more alike."""
    p, t = noise(1, 1, 16, 16), noise(1, 1, 16, 16, seed=1)
    right = Similarity.of(p, t, UNIT).score().value
    scaled = Similarity.of(2000 * p - 1000, 2000 * t - 1000, DataRange(-1000.0, 1000.0)).score().value
    assert scaled != pytest.approx(right, abs=0.01)  # luminance is not invariant to a shift, only to a factor
    assert Similarity.of(2000 * p, 2000 * t, DataRange(0.0, 2000.0)).score().value == pytest.approx(right, rel=1e-10)
    assert Similarity.of(p, t, DataRange(0.0, 10.0)).score().value > right + 0.05


def test_what_has_no_value() -> None:
    """Targets outside the range, images without pixels, NaN, nothing at all."""
    t = noise(2, 1, 16, 16)
    outside = Similarity.of(t, t + 1.0, UNIT).score()
    assert not outside.is_defined
    assert "outside the declared range" in outside.reason
    mask = torch.ones_like(t, dtype=torch.bool)
    mask[0] = False
    assert (Similarity.of(t, t, UNIT, mask).score().counted, Similarity.of(t, t, UNIT, mask).score().undefined) == (
        1,
        1,
    )
    p = t.clone()
    p[0, 0, 8, 8] = math.nan
    assert math.isnan(Similarity.of(p, t, UNIT).score().value)
    assert Similarity.of(p, t, UNIT).score().reason == "1 pixels are not finite"
    assert not Similarity.empty(UNIT).score().is_defined


@pytest.mark.parametrize(
    ("shape", "words"),
    [((1, 1, 10, 20), "does not fit"), ((1, 16, 16), "SSIM takes"), ((1, 1, 16, 16, 16, 16), "SSIM takes")],
)
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...], words: str) -> None:
    """Nothing is padded to make them fit."""
    with pytest.raises(UsageError, match=words):
        Similarity.of(torch.zeros(shape), torch.zeros(shape), UNIT)
    with pytest.raises(UsageError, match="odd size"):
        Window(10)
