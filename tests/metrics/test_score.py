"""A number comes with its population, and NaN is never averaged away."""

import math

import pytest
import torch

from evenkeel.metrics.score import Score, Scores, undefined


def scores(values: list[float], lacking: list[bool], bad: list[int]) -> Scores:
    """Four elements in each group, one of them masked."""
    number = torch.full((len(values),), 3)
    return Scores(
        values=torch.tensor(values, dtype=torch.float64),
        lacking=torch.tensor(lacking, dtype=torch.bool),
        counted=number,
        masked=number // 3,
        bad=torch.tensor(bad, dtype=torch.int64),
        why="no spikes",
        unit="bits/spike",
        groups="cells",
    )


def test_groups_without_value_are_counted_and_left_out() -> None:
    """The mean is over the others, and says how many those are."""
    found = scores([0.1, math.nan, 0.3, -0.2], [False, True, False, False], [0, 0, 0, 0])
    assert found.mean().value == pytest.approx(0.2 / 3)
    assert (found.mean().counted, found.mean().undefined, found.mean().coverage) == (3, 1, 0.75)
    assert found.median().value == pytest.approx(0.1)
    assert found.share_below(0.0).value == pytest.approx(1 / 3)
    assert str(found.mean()) == "0.06667 bits/spike over 3 of 4 cells (1 undefined: no spikes)"


@pytest.mark.parametrize("summary", ["mean", "median"])
def test_bad_group_is_not_averaged_away(summary: str) -> None:
    """A NaN that has no excuse makes the mean NaN, and the reason says so."""
    found = getattr(scores([0.1, math.nan], [False, False], [0, 2]), summary)()
    assert math.isnan(found.value)
    assert found.reason == "2 elements are not finite, or outside the domain"
    assert (found.counted, found.undefined) == (2, 0)


def test_nan_is_not_above_a_bar_either() -> None:
    """A comparison with NaN is False; the share must not say 0 for that."""
    assert not scores([math.nan], [False], [1]).share_below(0.0).is_defined


def test_no_group_with_a_value_leaves_no_mean() -> None:
    """Not 0, and not the mean of nothing in silence."""
    found = scores([math.nan, math.nan], [True, True], [0, 0]).mean()
    assert not found.is_defined
    assert str(found) == "undefined over 0 of 2 cells (2 undefined: no spikes)"
    assert not scores([], [], []).mean().is_defined


def test_median_of_infinities() -> None:
    """Two infinitely bad cells in the middle are infinitely bad, and no NaN."""
    assert scores([-math.inf, -math.inf], [False, False], [0, 0]).median().value == -math.inf
    assert scores([-math.inf, -math.inf, 1.0, 2.0], [False] * 4, [0] * 4).median().value == -math.inf
    assert scores([-math.inf, 1.0, 2.0], [False] * 3, [0] * 3).median().value == 1.0


def test_single_groups() -> None:
    """Each with its elements."""
    found = scores([0.1, math.nan, math.nan], [False, True, False], [0, 0, 1])
    assert (found[0].value, found[0].counted, found[0].masked, found[0].coverage) == (0.1, 3, 1, 0.75)
    assert (found[1].counted, found[1].undefined, found[1].reason) == (0, 3, "no spikes")
    assert found[2].reason == "1 elements are not finite, or outside the domain"


def test_words() -> None:
    """Values, doubts and infinities as a person would write them."""
    assert (
        str(undefined("dB", "images", "no pixels", missing=3))
        == "undefined over 0 of 3 images (3 undefined: no pixels)"
    )
    assert str(Score(value=math.inf, unit="dB", of="images", counted=2)) == "inf dB over 2 of 2 images"
    assert str(Score(value=0.5, unit="1", of="samples", counted=2, error=0.01)) == "0.5 ± 0.01 over 2 of 2 samples"
    assert math.isnan(Score(value=0.5, unit="1", of="samples", counted=0).coverage)
