"""The measure of accuracy: what an ulp is, what is wrong, whether the operations keep their bounds at a few points."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path

import mpmath
import pytest
import torch

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))
accuracy = importlib.import_module("accuracy")
ulps = importlib.import_module("ulps")
ROWS = {row.name: row for row in accuracy.all_rows()}
sys.path.remove(str(BENCH))


def error(got: float, exact: float | str, dtype: torch.dtype = torch.float32) -> float:
    """In ulp of what is exact."""
    return ulps.error(got, mpmath.mpf(exact), mpmath.mpf(exact), dtype)


@pytest.mark.parametrize("dtype", ulps.DTYPES.values(), ids=str)
def test_the_neighbour_is_one_ulp_away(dtype: torch.dtype) -> None:
    """At 1, at a subnormal, at the largest number, below a power of two."""
    info = torch.finfo(dtype)
    for x in (1.0, 3.0, info.smallest_normal, info.smallest_normal / 2, info.max / 3):
        here = torch.tensor(x, dtype=dtype)
        above = torch.nextafter(here, torch.full_like(here, math.inf))
        assert error(above.item(), here.item(), dtype) == 1
        assert error(here.item(), here.item(), dtype) == 0


def test_numbers_that_are_none() -> None:
    """Nan for a number, a number for nan, the wrong infinity: all infinitely wrong or far off."""
    assert error(math.nan, 1.0) == math.inf
    assert error(1.0, "nan") == math.inf
    assert error(math.nan, "nan") == 0
    assert error(math.inf, "inf") == 0
    assert error(math.inf, "1e300") == 0
    assert error(-math.inf, "inf") > 1e6
    assert error(0.0, "inf") > 1e6


def test_the_table_is_complete() -> None:
    """Every public elementwise or vector operation of these families has a row."""
    named = {name.split()[0].rstrip(",") for name in ROWS}
    assert len(ROWS) > 40
    missing = {"entropy", "norm", "softmax", "divide", "angle", "log1mexp", "log_determinant"} - named
    assert not missing


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of other projects, which some rows compare with
@pytest.mark.parametrize("name", ROWS)
def test_operations_keep_their_bounds(name: str) -> None:
    """At a few hundred points of every dtype; `python bench/accuracy.py` takes a hundred thousand."""
    row = ROWS[name]
    for dtype in row.dtypes:
        _, found = accuracy.measured(row, dtype, 200, None)
        assert found["evenkeel"].ulp <= accuracy.bound(row, dtype), (dtype, found["evenkeel"])


def test_a_naive_form_does_not() -> None:
    """The test above can fail: log(1 - exp(x)) in the place of log1mexp."""
    _, found = accuracy.measured(ROWS["log1mexp"], "float32", 200, None)
    assert found["naive log(1-exp)"].ulp > 1000
