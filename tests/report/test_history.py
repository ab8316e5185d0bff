"""The drawing of a series: finite numbers have a height, others have none."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evenkeel.report.history import HEIGHT, WIDTH, history


@given(st.lists(st.floats(), min_size=1, max_size=40))
@example([-1.7e308, 0.0, 1.7e308])
@example([5e-324, 1.7e308])
@example([0.0, 5e-324])
def test_every_number_is_drawn_inside_and_in_order(values: list[float]) -> None:
    """Also the largest floats, subnormal ones, constants and series without a finite number."""
    drawn = history(values, last_step=100)
    assert [repr(point.value) for point in drawn.points] == [repr(value) for value in values]
    assert [point.y is None for point in drawn.points] == [not math.isfinite(value) for value in values]
    assert all(0 <= point.x <= WIDTH for point in drawn.points)
    heights = sorted((point.value, -point.y) for point in drawn.points if point.y is not None)
    assert all(-HEIGHT <= height <= 0 for _, height in heights)
    assert [height for _, height in heights] == sorted(height for _, height in heights)


def test_a_line_never_crosses_a_missing_number() -> None:
    """The stretches on both sides are drawn apart."""
    drawn = history([3.0, 2.0, math.nan, 1.0, math.inf], last_step=9)
    assert [[point.value for point in run] for run in drawn.runs] == [[3.0, 2.0], [1.0]]
    assert [point.name for point in drawn.missing] == ["step 7", "step 9"]
    assert (drawn.low, drawn.high) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("values", "is_log"), [([1.0, 1000.0], True), ([1.0, 10.0], False), ([-1.0, 1000.0], False), ([0.0, 1.0], False)]
)
def test_the_scale_is_logarithmic_where_the_range_is_wide_and_positive(values: list[float], is_log: bool) -> None:  # noqa: FBT001
    """A last jump must not flatten what came before it."""
    assert history(values, last_step=1).is_log is is_log


def test_without_steps_none_is_named() -> None:
    """Values that were not taken at every step do not pretend that they were."""
    assert [point.name for point in history([1.0, 2.0, 3.0], last_step=None).points] == [
        "2 before the latest",
        "1 before the latest",
        "latest",
    ]
