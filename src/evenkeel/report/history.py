"""A short series of numbers as a line to draw: the geometry only, in units of the drawing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from evenkeel.core.words import number

WIDTH, HEIGHT = 480.0, 120.0
LOG_FROM = 100.0  # a positive series that spans more than this factor is drawn on a logarithmic scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One number of the series. `y` is None when it is not finite: it has no height and is given none."""

    x: float
    y: float | None
    value: float
    name: str  # "step 12", or "latest" where the steps are not known


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The points from left to right and the range of the finite ones; `low` is None when there is none."""

    points: tuple[Point, ...]
    low: float | None
    high: float | None
    is_log: bool

    @property
    def runs(self) -> tuple[tuple[Point, ...], ...]:
        """The stretches of finite points, so that a line never crosses a number that is missing."""
        stretches = groupby(self.points, lambda point: point.y is not None)
        return tuple(tuple(run) for is_finite, run in stretches if is_finite)

    @property
    def missing(self) -> tuple[Point, ...]:
        """The points that are not finite."""
        return tuple(point for point in self.points if point.y is None)


def history(values: Sequence[float], *, last_step: int | None) -> History:
    """The drawing of `values`, one a step, of which the last belongs to `last_step`.

    Without `last_step` the values were not taken at every step, and none is named.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=None), max(finite, default=None)
    is_log = low is not None and high is not None and low > 0 and high / low > LOG_FROM
    stride = WIDTH / max(len(values) - 1, 1)
    points = (
        Point(x=round(position * stride, 1), y=height, value=value, name=name)
        for position, (value, height, name) in enumerate(
            zip(values, _heights(values, finite, is_log=is_log), _names(len(values), last_step), strict=True)
        )
    )
    return History(points=tuple(points), low=low, high=high, is_log=is_log)


def _names(count: int, last_step: int | None) -> list[str]:
    if last_step is not None:
        return [f"step {number(step)}" for step in range(last_step - count + 1, last_step + 1)]
    return [f"{later} before the latest" for later in range(count - 1, 0, -1)] + ["latest"]


def _heights(values: Sequence[float], finite: Sequence[float], *, is_log: bool) -> Iterator[float | None]:
    """Distances from the top edge."""
    scaled = {value: math.log10(value) if is_log else value / 2 for value in finite}  # halves: 2e308 overflows
    low, high = min(scaled.values(), default=0.0), max(scaled.values(), default=0.0)
    for value in values:
        if not math.isfinite(value):
            yield None
        elif high == low:
            yield HEIGHT / 2
        else:
            yield round(HEIGHT * ((high - scaled[value]) / (high - low)), 1)
