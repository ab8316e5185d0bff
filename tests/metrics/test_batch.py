"""Shapes and masks are taken as they are, and never spread in silence."""

import math

import pytest
import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.metrics import Errors, MaskedMean, Moments, Paired, PoissonFit, Ratio, Scores, Statistics

X = torch.tensor([[1.0, 2.0], [3.0, 5.0], [4.0, 1.0]])
TWO_SIDED = [Paired, Errors, PoissonFit, Ratio]


@pytest.mark.parametrize("kind", TWO_SIDED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("other", "mask", "words"),
    [
        pytest.param(X[:, :1], None, "one shape", id="another shape"),
        pytest.param(X, torch.ones(3, 1, dtype=torch.bool), "Expand it", id="mask for all cells"),
        pytest.param(X, torch.ones(3, 2), "torch.bool", id="mask of numbers"),
        pytest.param(X.to(torch.complex64), None, "real numbers", id="complex"),
    ],
)
def test_what_does_not_fit_is_refused(kind: type, other: Tensor, mask: Tensor | None, words: str) -> None:
    """A mask [B, 1] would otherwise pool the cells (a fault of old: one value where there should be one each)."""
    with pytest.raises(UsageError, match=words):
        kind.of(X, other, mask)


def test_three_dimensions_are_refused() -> None:
    """Which of them are groups is for the caller to say."""
    with pytest.raises(UsageError, match="Flatten"):
        MaskedMean.of(torch.ones(2, 2, 2))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_the_mask_leaves_out_is_not_read(bad: float) -> None:
    """0 times NaN is NaN; a mask that multiplies would let it through."""
    spoiled, mask = X.clone(), torch.ones_like(X, dtype=torch.bool)
    spoiled[1, 0], mask[1, 0] = bad, False
    for kind in TWO_SIDED:
        clean = kind.of(X, X + 1.0, mask)
        found = kind.of(spoiled, X + 1.0, mask)
        assert found.score().value == clean.score().value
        assert found.score().is_defined
    assert MaskedMean.of(spoiled, mask).score().value == 2.6


@pytest.mark.parametrize("kind", [*TWO_SIDED, MaskedMean, Moments], ids=lambda kind: kind.__name__)
def test_nan_that_counts_spoils_its_group_and_the_whole(kind: type) -> None:
    """And no other group. Each score says how many elements were to blame."""
    spoiled = X.clone()
    spoiled[1, 0] = math.nan
    given = (spoiled, X + 1.0) if kind in TWO_SIDED else (spoiled,)
    found = kind.of(*given) + kind.of(*(part[1:] + 1.0 for part in given))
    assert math.isnan(found.score().value)
    assert "2 elements are not finite" in found.score().reason
    groups = closed(found)
    assert math.isnan(groups[0].value)
    assert groups[1].is_defined
    assert math.isnan(groups.mean().value)
    assert groups.mean().undefined == 0


def test_bad_group_is_not_excused_by_being_small() -> None:
    """One element, which is NaN, has no variance because there is one; but the NaN must not vanish from the mean."""
    spoiled, mask = X.clone(), torch.ones_like(X, dtype=torch.bool)
    spoiled[0, 0], mask[1:, 0] = math.nan, False
    found = Moments.of(spoiled, mask).variance()
    assert found.lacking.tolist() == [False, False]
    assert math.isnan(found.mean().value)
    assert "1 elements are not finite" in found[0].reason
    mask[0, 0] = False
    assert Moments.of(spoiled, mask).variance().mean().is_defined


def closed(found: Statistics) -> Scores:
    """One closed form of each kind, by groups."""
    names = [name for name in ("pearson", "mae", "bits_per_spike", "ratio", "mean") if hasattr(found, name)]
    scores: Scores = getattr(found, names[0])()
    return scores


def test_float_types_and_integers_are_taken_in_float64() -> None:
    """float16 would overflow at 65,504; integers are as good as floats."""
    assert MaskedMean.of(torch.full((100,), 60_000.0, dtype=torch.float16)).score().value == 60_000.0
    assert MaskedMean.of(torch.tensor([1, 2], dtype=torch.uint8)).score().value == 1.5
    assert MaskedMean.of(torch.tensor([True, False])).score().value == 0.5
    assert not MaskedMean.of(torch.ones(1, requires_grad=True)).sum.high.requires_grad
