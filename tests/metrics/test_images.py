"""PSNR, NMSE and RMSE with a declared range."""

import math

import pytest
import torch

from evenkeel.core.errors import UsageError
from evenkeel.metrics import DataRange, ImageErrors

UNIT = DataRange(0.0, 1.0)


def pictures(num: int = 3) -> torch.Tensor:
    """Between 0 and 1."""
    return torch.rand(num, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.9


def test_psnr_belongs_to_the_rmse() -> None:
    """PSNR = -20 log10 RMSE for a range of 1: the check that shows a guessed range."""
    t = pictures()
    found = ImageErrors.of(t + 0.1, t, UNIT)
    assert found.image_psnr().value == pytest.approx(20.0)
    assert found.set_psnr().value == pytest.approx(-20 * math.log10(found.set_rmse().value))
    assert found.image_rmse().value == pytest.approx(0.1)
    wrong = ImageErrors.of(t + 0.1, t, DataRange(-1.0, 1.0)).image_psnr().value
    assert wrong - 20.0 == pytest.approx(20 * math.log10(2))  # the 6.02 dB of a range that is twice too wide


@pytest.mark.parametrize("ends", [(0.0, 0.0), (1.0, 0.0), (0.0, math.inf), (math.nan, 1.0)])
def test_range_has_to_be_declared_and_to_be_one(ends: tuple[float, float]) -> None:
    """There is no default, and none is taken from the data."""
    with pytest.raises(UsageError, match="data range"):
        DataRange(*ends)


def test_targets_outside_the_declared_range_leave_no_psnr() -> None:
    """Predictions may lie outside; where targets do, the range is wrong. NMSE needs none."""
    t = pictures()
    t[0, 0, 0, 0] = 1.5
    found = ImageErrors.of(t, t + 0.1, UNIT)
    for score in (found.image_psnr(), found.set_psnr()):
        assert not score.is_defined
        assert "outside the declared range 0 to 1" in score.reason
    assert found.image_nmse().is_defined
    assert ImageErrors.of(t + 1.0, t.clamp(max=1.0), UNIT).score().is_defined
    mask = torch.ones_like(t, dtype=torch.bool)
    mask[0, 0, 0, 0] = False
    assert ImageErrors.of(t, t + 0.1, UNIT, mask).score().is_defined


def test_images_without_a_value_are_counted() -> None:
    """A target of zeros has no NMSE, an image without pixels has nothing; neither is 0."""
    t = pictures(4)
    t[0] = 0.0
    mask = torch.ones_like(t, dtype=torch.bool)
    mask[1] = False
    found = ImageErrors.of(t + 0.1, t, UNIT, mask)
    assert (found.image_nmse().counted, found.image_nmse().undefined) == (2, 2)
    assert (found.image_psnr().counted, found.image_psnr().undefined) == (3, 1)
    assert found.set_nmse().counted == 48
    nothing = ImageErrors.of(t[:1], t[:1] * 0, UNIT)
    assert not nothing.image_nmse().is_defined
    assert not nothing.set_nmse().is_defined
    assert nothing.image_psnr().value == math.inf


def test_image_without_error_is_infinitely_good() -> None:
    """And so is the mean over images, which says why; the set as a whole is finite."""
    t = pictures(2)
    p = t.clone()
    p[0] += 0.1
    found = ImageErrors.of(p, t, UNIT)
    assert found.image_psnr().value == math.inf
    assert found.image_psnr().reason == "1 images have no error"
    assert found.set_psnr().value == pytest.approx(20.0 + 10 * math.log10(2))


def test_nan_is_not_averaged_away() -> None:
    """One NaN pixel that counts."""
    t = pictures()
    p = t + 0.1
    p[1, 0, 2, 2] = math.nan
    for score in (
        f() for f in (lambda: ImageErrors.of(p, t, UNIT).score(), lambda: ImageErrors.of(p, t, UNIT).set_nmse())
    ):
        assert math.isnan(score.value)
        assert score.reason == "1 pixels are not finite"
    assert ImageErrors.of(p, t, UNIT, torch.isfinite(p)).score().value == pytest.approx(20.0)


def test_nothing_has_no_value() -> None:
    """Neither 0 dB nor infinitely many."""
    empty = ImageErrors.empty(UNIT)
    assert not any(s.is_defined for s in (empty.score(), empty.set_psnr(), empty.set_nmse(), empty.image_rmse()))
    with pytest.raises(UsageError, match="images come as"):
        ImageErrors.of(torch.ones(3), torch.ones(3), UNIT)
