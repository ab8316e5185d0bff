"""Effects are compared only where there is one to measure."""

import math

import pytest
import torch
from tests.metrics.twins import murmur_half

from evenkeel.core.errors import UsageError
from evenkeel.metrics import PearsonDelta, full_from_halves, half_of
from evenkeel.metrics.delta import GroupSums

NUM_GENES = 200


def measured(effect: float, least_ceiling: float = 0.2, seed: int = 0) -> PearsonDelta:
    """Two conditions, the first without effect, the second with; predictions are right."""
    random = torch.Generator().manual_seed(seed)
    cells = torch.randn(600, NUM_GENES, generator=random, dtype=torch.float64)
    effects = torch.stack([torch.zeros(NUM_GENES), effect * torch.randn(NUM_GENES, generator=random)]).double()
    condition, half = torch.arange(400) % 2, half_of(torch.arange(600))
    found = PearsonDelta.empty(2, NUM_GENES, least_ceiling).with_control(cells[:200], half[:200])
    found = found.with_measured(cells[200:] + effects[condition], condition, half[200:])
    return found.with_predicted(effects[[0, 1]] + 1e-3 * cells[:2], torch.tensor([0, 1]))


def test_condition_without_effect_is_below_noise() -> None:
    """Two halves of nothing agree on nothing; a score there would be one of noise."""
    found = measured(1.0)
    assert found.ceiling()[1].value > 0.9
    assert abs(found.ceiling()[0].value) < 0.2
    assert found.correlation().lacking.tolist() == [True, False]
    assert found.score().value > 0.9
    assert (found.score().counted, found.score().undefined) == (1, 1)
    assert "below noise" in found.score().reason


def test_missing_cells_are_no_effect_of_zero() -> None:
    """A condition that nobody predicted or measured has no score, and says so."""
    found = PearsonDelta.empty(2, NUM_GENES, 0.0)
    assert not found.score().is_defined
    assert found.score().undefined == 2
    assert "missing" in found.score().reason
    assert "missing" in found.ceiling().mean().reason
    only_one = measured(1.0).measured
    without_control = PearsonDelta(2, 0.0, measured(1.0).predicted, only_one, GroupSums.empty(2, NUM_GENES))
    assert not without_control.score().is_defined


def test_nan_in_one_cell_spoils_its_condition() -> None:
    """It is not taken for a condition without cells."""
    spoiled = measured(1.0).with_predicted(torch.full((1, NUM_GENES), math.nan), torch.tensor([1]))
    assert math.isnan(spoiled.correlation()[1].value)
    assert math.isnan(spoiled.score().value)
    assert "not finite" in spoiled.score().reason


def test_halves_do_not_depend_on_who_asks() -> None:
    """Cell numbers decide; about as many in each half, and neighbours independent."""
    numbers = torch.arange(20_000)
    half = half_of(numbers)
    assert half[:500].tolist() == [murmur_half(n) for n in range(500)]
    assert half_of(torch.tensor([2**62 + 5])).tolist() == [murmur_half(2**62 + 5)]
    assert abs(float(half.double().mean()) - 0.5) < 4 * 0.5 / math.sqrt(20_000)
    same = float((half[1:] == half[:-1]).double().mean())
    assert abs(same - 0.5) < 4 * 0.5 / math.sqrt(20_000)


def test_full_size_from_halves() -> None:
    """Spearman and Brown: .5 becomes 2/3."""
    assert full_from_halves(0.5) == pytest.approx(2 / 3)
    assert math.isnan(full_from_halves(-1.0))
    assert math.isnan(full_from_halves(math.nan))


def test_rows_that_do_not_fit_are_refused() -> None:
    """One group for each row."""
    with pytest.raises(UsageError, match="a group each"):
        GroupSums.of(torch.ones(3, 2), torch.zeros(2, dtype=torch.int64), 1)
    with pytest.raises(UsageError, match="from -1 to 1"):
        PearsonDelta.empty(2, 2, math.nan)


@pytest.mark.parametrize(("condition", "half"), [(0, 2), (0, -1), (2, 0), (-1, 0)])
def test_cell_of_no_group_is_refused(condition: int, half: int) -> None:
    """A third half of one condition would else be the first half of the next."""
    found = PearsonDelta.empty(2, 2, 0.0)
    with pytest.raises((IndexError, RuntimeError)):
        found.with_measured(torch.ones(1, 2), torch.tensor([condition]), torch.tensor([half]))
