"""Statistics merge field by field, whatever they are made of, and refuse what is of another kind."""

from dataclasses import dataclass

import pytest
import torch

from evenkeel.core.errors import UsageError
from evenkeel.metrics import MaskedMean, PoissonFit, Precision, QuantileSketch, Spearman, Statistics
from evenkeel.metrics.epoch import packed, reduced
from evenkeel.metrics.statistics import Rows, layout, leaves
from evenkeel.tensors.wide import Wide


@dataclass(frozen=True, slots=True, eq=False)
class Validation(Statistics):
    """As a user would write it: one for each session, a loss, and pairs."""

    name: str
    sessions: tuple[PoissonFit, ...]
    loss: MaskedMean
    order: Spearman


def validation(values: list[float], cells: int = 2) -> Validation:
    """Of one batch."""
    x = torch.tensor(values)
    fit = PoissonFit.of(torch.ones(len(x), cells), torch.ones(len(x), cells))
    return Validation("night", (fit, PoissonFit.empty(3)), MaskedMean.of(x), Spearman.of(x, -x))


def test_composite_merges_and_reduces_as_a_whole() -> None:
    """Alone in the world, reducing gives back the same numbers."""
    first, second = validation([1.0, 2.0]), validation([6.0])
    for found in (first + second, reduced(first + second)):
        assert found.loss.score().value == 3.0
        assert found.order.score().value == -1.0
        assert found.sessions[0].score().counted == 2
        assert found.sessions[1].score().undefined == 3
        assert found.name == "night"
    assert (first.loss.score().value, second.loss.score().value) == (1.5, 6.0)  # neither was changed


def test_all_sums_travel_in_one_vector() -> None:
    """And all kept rows in another, with their numbers first."""
    parcel = packed(validation([1.0, 2.0]))
    assert parcel.sums.shape == (8 * 2 + 8 * 3 + 4,)
    assert parcel.rows.tolist() == [2.0, 1.0, -1.0, 2.0, -2.0]
    assert parcel.layout == layout(validation([3.0]))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(validation([1.0], cells=4), id="another number of cells"),
        pytest.param(
            Validation("day", *[getattr(validation([1.0]), n) for n in ("sessions", "loss", "order")]), id="setting"
        ),
        pytest.param(MaskedMean.of(torch.ones(1)), id="class"),
    ],
)
def test_other_kinds_do_not_merge(other: Statistics) -> None:
    """Nothing is broadcast, and no setting is taken from one side."""
    with pytest.raises(UsageError, match="do not merge"):
        validation([1.0]).merge(other)


def test_sketches_of_another_precision_do_not_merge() -> None:
    """Their buckets may be equally many, and mean something else."""
    coarse, fine = (QuantileSketch.empty(Precision(0.01, low, low * 1e6)) for low in (1e-3, 1e-2))
    assert coarse.counts.shape == fine.counts.shape
    with pytest.raises(UsageError, match="do not merge"):
        coarse.merge(fine)


def test_tensor_among_the_fields_is_refused() -> None:
    """It says not how it merges."""

    @dataclass(frozen=True, slots=True, eq=False)
    class Wrong(Statistics):
        total: torch.Tensor

    with pytest.raises(UsageError, match="says not how it merges"):
        Wrong(torch.ones(1)).merge(Wrong(torch.ones(1)))


def test_leaves_come_in_the_order_of_fields() -> None:
    """So that packing and unpacking agree."""
    kinds = [type(leaf) for leaf in leaves(validation([1.0]))]
    assert kinds == [Wide] * 20 + [Rows]


def test_rows_have_one_order() -> None:
    """Whatever came first; the empty ones too."""
    rows = torch.tensor([[2.0, 1.0], [-1.0, 5.0], [2.0, 0.0]])
    orders = [Rows.of(rows[list(order)]).in_order() for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2))]
    assert all(torch.equal(order, orders[0]) for order in orders)
    assert Rows(2).in_order().shape == (0, 2)
    assert Rows(2, (rows[:0].double(), rows.double())).together().shape == (3, 2)
