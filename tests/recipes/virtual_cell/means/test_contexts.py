"""A treatment in a type where it was never seen: three simple ways, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evenkeel_recipes.virtual_cell.means.contexts import SILENT, STIFF, Elsewhere, elsewhere, levelled
from evenkeel_recipes.virtual_cell.means.profiles import Profiles

LEVELS = np.array([[0.0, 1.0, 2.0, 3.0], [0.0, 2.0, 2.0, 5.0], [0.0, 6.0, 2.0, 1.0]])


def profiles(change: np.ndarray) -> Profiles:
    """Controls and one treatment in three types; the last column is the depth."""
    mean = np.hstack([np.vstack([LEVELS, LEVELS + change]), np.full((6, 1), 7.0)])
    return Profiles(np.repeat([0, 1], 3), np.tile(np.arange(3), 2), np.full(6, 50.0), mean, np.ones(5))


def test_a_shift_is_the_mean_change() -> None:
    """Over the types, each counting once."""
    change = np.arange(12.0).reshape(3, 4)
    assert np.allclose(Elsewhere(LEVELS, LEVELS + change).shifted(), change.mean(0))


def test_multiplied_counts_are_told_where_they_were_multiplied(rng: np.random.Generator) -> None:
    """Any level but a silent one, which stays silent, whatever the factor; and no gene goes below none."""
    before = rng.uniform(2, 6, (3, 4))
    factor = np.array([0.1, 1.0, 3.0, 20.0])
    found = Elsewhere(before, np.log1p(np.expm1(before) * factor))
    own = rng.uniform(4, 6, 4)
    assert np.allclose(own + found.scaled(own), np.log1p(np.expm1(own) * factor), atol=SILENT)
    assert np.abs(found.scaled(np.zeros(4))).max() < np.log1p(SILENT * 20)
    assert (own + Elsewhere(before, np.zeros((3, 4))).scaled(own) >= 0).all()


def test_changes_that_follow_the_level_are_told_by_a_slope() -> None:
    """As far as the ridge lets them; where all levels are alike, there is no slope."""
    found = Elsewhere(LEVELS, LEVELS - 0.5 * (LEVELS - LEVELS.mean(0)))
    spread = ((LEVELS - LEVELS.mean(0)) ** 2).sum(0)
    own = np.array([1.0, 9.0, 3.0, 0.0])
    assert np.allclose(found.sloping(own), -0.5 * spread / (spread + STIFF) * (own - LEVELS.mean(0)))
    assert not found.sloping(own)[[0, 2]].any()


def test_levelled_profiles_have_the_same_change_in_every_type() -> None:
    """But for what the ridge leaves; controls and depths stay as they are."""
    given = profiles(-0.5 * (LEVELS - LEVELS.mean(0)))
    found = levelled(given, 0)
    assert np.abs(found.mean[3:, :-1] - found.mean[:3, :-1]).max() < 0.3
    assert np.abs(given.mean[3:, :-1] - given.mean[:3, :-1]).max() > 1
    assert np.array_equal(found.mean[:3], given.mean[:3])
    assert np.array_equal(found.mean[:, -1], given.mean[:, -1])


def test_the_type_itself_and_types_without_controls_tell_nothing() -> None:
    """None where no other has both."""
    given = profiles(np.ones((3, 4)))
    told = elsewhere(given, 0, 1, 2)
    assert told is not None
    assert told.before == pytest.approx(LEVELS[:2])
    without = given.take(np.array([0, 3, 4, 5]))
    assert elsewhere(without, 0, 1, 0) is None
    only = elsewhere(without, 0, 1, 1)
    assert only is not None
    assert only.before == pytest.approx(LEVELS[:1])
