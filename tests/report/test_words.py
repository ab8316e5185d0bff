"""Numbers as a person would write them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from evenkeel.core.place import Place
from evenkeel.core.stats import TensorStats
from evenkeel.report import words

STATS = TensorStats(name="x", shape=(2, 3), dtype="float32", device="cpu", min=-1.5, max=2.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (65504.0, "65,504"),
        (0.25, "0.25"),
        (1e-15, "1e-15"),
        (3.4028235e38, "3.403e+38"),
        (12345678.0, "1.235e+07"),
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_number(value: float, text: str) -> None:
    """Four digits; whole numbers in full."""
    assert words.number(value) == text


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


@pytest.mark.parametrize(
    ("items", "text"),
    [([], ""), ([3], "3"), ([3, 7], "3 and 7"), ([1, 2, 3], "1, 2 and 3"), (range(5000), "0, 1 and 4,998 more")],
)
def test_listed(items: list[int], text: str) -> None:
    """Long lists end with the count of the rest."""
    assert words.listed(items, limit=2 if len(items) > 3 else 8) == text


def test_cite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the current directory the path is relative."""
    monkeypatch.chdir(tmp_path)
    place = Place(file=str(tmp_path / "a" / "train.py"), line=4, scope="f", source="")
    assert words.cite(place) == "a/train.py:4 in f"
    assert words.cite(replace(place, scope="<module>")) == "a/train.py:4"
    assert words.cite(replace(place, file="/elsewhere/x.py")) == "/elsewhere/x.py:4 in f"
    assert words.cite(replace(place, file="train.py")) == "train.py:4 in f"
