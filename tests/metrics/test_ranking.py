"""AUROC and Spearman's correlation, ties and missing classes included."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics import twins

from evenkeel.core.errors import UsageError
from evenkeel.metrics import Auroc, GridAuroc, ScoreGrid, Spearman
from evenkeel.metrics.ranking import ranks

GRID = ScoreGrid(0.0, 1.0, 8)
scored = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: 0 < sum(label for _, label in rows) < len(rows)
)


@settings(max_examples=200, deadline=None)
@given(scored)
def test_exact_value_lies_within_the_stated_error(rows: list[tuple[float, bool]]) -> None:
    """By gathering it is what counting pairs says; on a grid it is no further away than stated."""
    scores = torch.tensor([score for score, _ in rows], dtype=torch.float64)
    labels = torch.tensor([label for _, label in rows])
    expected = twins.auroc(scores.numpy(), labels.numpy())
    assert Auroc.of(scores, labels).score().value == pytest.approx(expected, abs=1e-12)
    found = GridAuroc.of(scores, labels, GRID).score()
    assert abs(found.value - expected) <= found.error + 1e-12


def test_scores_on_the_grid_are_exact() -> None:
    """Hundredths, on a grid of hundredths: each cell holds one value, its lower border."""
    scores = torch.arange(100, dtype=torch.float64) / 100
    grid = ScoreGrid(0.0, 1.0, 100)
    assert grid.cells(scores).tolist() == list(range(100))
    assert grid.cells(torch.tensor([1.0, -0.01, 1.01, math.nan], dtype=torch.float64)).tolist() == [99, -1, -1, -1]


@pytest.mark.parametrize("kind", ["grid", "rows"])
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auroc(kind: str, label: int) -> None:
    """Neither 0 nor .5."""
    scores, labels = torch.rand(5), torch.full((5,), label)
    found = (GridAuroc.of(scores, labels, GRID) if kind == "grid" else Auroc.of(scores, labels)).score()
    assert not found.is_defined
    assert found.undefined == 5
    assert "missing" in found.reason


@pytest.mark.parametrize(("score", "label"), [(math.nan, 1), (0.5, 2)])
def test_what_cannot_be_ranked_is_not_dropped(score: float, label: int) -> None:
    """A NaN score, or a label that is none, leaves no value; outside the grid the same holds."""
    scores, labels = torch.tensor([0.1, 0.9, score]), torch.tensor([0, 1, label])
    assert not Auroc.of(scores, labels).score().is_defined
    assert not GridAuroc.of(scores, labels, GRID).score().is_defined
    assert "1 scores lie outside" in GridAuroc.of(torch.tensor([0.1, 1.1]), torch.tensor([0, 1]), GRID).score().reason
    assert Auroc.of(scores, labels, torch.tensor([True, True, False])).score().value == 1.0


def test_ranks_share_their_mean() -> None:
    """3 1 4 1 5 is 3 1.5 4 1.5 5."""
    assert ranks(torch.tensor([3.0, 1.0, 4.0, 1.0, 5.0])).tolist() == [3.0, 1.5, 4.0, 1.5, 5.0]
    assert ranks(torch.zeros(0)).tolist() == []


def test_spearman_sees_order_only() -> None:
    """Any rising function gives 1, infinities included; a constant gives no value, NaN neither."""
    x = torch.tensor([1.0, 5.0, 2.0, 7.0])
    assert Spearman.of(x, torch.tensor([1.0, 9e9, 2.0, math.inf])).score().value == pytest.approx(1.0)
    assert not Spearman.of(x, torch.ones(4)).score().is_defined
    assert Spearman.of(x, torch.ones(4)).score().undefined == 4
    assert not Spearman.of(torch.tensor([1.0, math.nan]), torch.tensor([1.0, 2.0])).score().is_defined
    with pytest.raises(UsageError, match="one group"):
        Spearman.of(torch.ones(2, 2), torch.ones(2, 2))


@pytest.mark.parametrize("arguments", [(1.0, 0.0, 5), (0.0, 1.0, 0), (0.0, math.inf, 5)])
def test_grid_has_to_be_one(arguments: tuple[float, float, int]) -> None:
    """Ends in order, and a cell at least."""
    with pytest.raises(UsageError, match="grid"):
        ScoreGrid(*arguments)
