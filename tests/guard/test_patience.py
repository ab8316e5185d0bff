"""When a gradient scaler that refuses updates becomes a finding."""

from __future__ import annotations

from evenkeel.guard.patience import FLOOR, IN_A_ROW, Patience


def test_usual_search_for_a_scale_is_left_alone() -> None:
    """From 65,536 down to 1 in 16 refusals."""
    patience = Patience()
    assert not any(patience.is_over(2.0**power) for power in range(15, -1, -1))


def test_scale_below_the_floor_is_told_once() -> None:
    """And again only after an update was made in between."""
    patience = Patience()
    assert not patience.is_over(FLOOR)
    assert patience.is_over(FLOOR / 2)
    assert not patience.is_over(FLOOR / 4)
    patience.num_refused = 0
    assert patience.is_over(FLOOR / 8)


def test_too_many_in_a_row_are_told_once() -> None:
    """However high the scale still is."""
    patience = Patience()
    told = [patience.is_over(2.0**60) for _ in range(2 * IN_A_ROW)]
    assert told.index(True) == IN_A_ROW - 1
    assert sum(told) == 1


def test_updates_in_between_start_the_count_anew() -> None:
    """A scaler that finds its scale is healthy."""
    patience = Patience()
    for _ in range(10 * IN_A_ROW):
        assert not patience.is_over(1024.0)
        patience.num_refused = 0
