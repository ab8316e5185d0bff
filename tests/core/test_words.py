"""Numbers and ranges read as a person would write them."""

import math
from dataclasses import replace

import pytest

from evenkeel.core import words
from evenkeel.core.stats import TensorStats

STATS = TensorStats(name="x", shape=(2, 3), dtype="float32", device="cpu", min=-1.5, max=2.0)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (65504.0, "65,504"),
        (69000.0, "69,000"),
        (120000.0, "1.2e5"),
        (-812.0, "-812"),
        (0.25, "0.25"),
        (12345.6, "12,346"),
        (1e-15, "1e-15"),
        (-1.2e-7, "-1.2e-7"),
        (3.4028e38, "3.4e38"),
        (-0.0, "0"),
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_number(value: float, written: str) -> None:
    """Plain where it is short, scientific where it is not."""
    assert words.number(value) == written


def test_extent() -> None:
    """Constants and tensors without a finite element say so."""
    assert words.extent(STATS) == "-1.5 to 2"
    assert words.extent(replace(STATS, min=2.0)) == "all 2"
    assert words.extent(replace(STATS, shape=(), min=2.0)) == "2"
    assert words.extent(replace(STATS, min=None, max=None)) == "nothing finite"


def test_nonfinite() -> None:
    """Each kind with its count."""
    assert words.nonfinite(STATS) == "none"
    assert words.nonfinite(replace(STATS, num_nan=1, num_posinf=2, num_neginf=3000)) == "1 NaN, 2 inf, 3,000 -inf"
