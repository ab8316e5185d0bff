"""Numbers as a person would write them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evenkeel.core.place import Place
from evenkeel.core.stats import TensorStats
from evenkeel.report import words

STATS = TensorStats(name="x", shape=(2, 3), dtype="float32", device="cpu", min=-1.5, max=2.0)


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
