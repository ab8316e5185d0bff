"""Bits per spike: nothing is clamped, nothing is invented where there are no spikes."""

import math

import pytest
import torch

from evenkeel.metrics import PoissonFit

COUNTS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 3.0]])


def test_mean_rate_has_no_bits() -> None:
    """The null model, exactly; a worse one is below 0 and stays there."""
    null = PoissonFit.of(COUNTS.mean(0).expand_as(COUNTS), COUNTS)
    assert null.bits_per_spike().values[::2].tolist() == pytest.approx([0.0, 0.0], abs=1e-15)
    worse = PoissonFit.of(torch.full_like(COUNTS, 5.0), COUNTS)
    assert (worse.bits_per_spike().values[::2] < -1.0).all()
    assert worse.bits_per_spike().share_below(0.0).value == 1.0


def test_silent_cell_is_undefined_and_counted() -> None:
    """Neither 0 nor a huge number nor dropped without a word."""
    found = PoissonFit.of(torch.full_like(COUNTS, 0.5), COUNTS).bits_per_spike()
    assert found.lacking.tolist() == [False, True, False]
    assert (found.mean().counted, found.mean().undefined, found.mean().reason) == (2, 1, "no spikes")


def test_pooled_score_counts_what_was_expected_of_silent_cells() -> None:
    """The definition of the NLB: predicted spikes that never came cost."""
    rates = torch.full_like(COUNTS, 0.5)
    more = rates.clone()
    more[:, 1] = 5.0
    low, high = PoissonFit.of(more, COUNTS).score(), PoissonFit.of(rates, COUNTS).score()
    spikes = float(COUNTS.sum())
    assert high.value - low.value == pytest.approx(4 * 4.5 / spikes / math.log(2))
    assert high.counted == 3


def test_cells_without_bins_have_nothing_to_say() -> None:
    """Pooled over the others, and counted."""
    mask = torch.ones_like(COUNTS, dtype=torch.bool)
    mask[:, 2] = False
    found = PoissonFit.of(torch.full_like(COUNTS, 0.5), COUNTS, mask)
    assert (found.score().counted, found.score().undefined, found.score().reason) == (2, 1, "no bins")
    assert found.score().value == PoissonFit.of(torch.full((4, 2), 0.5), COUNTS[:, :2]).score().value
    assert not PoissonFit.empty(3).score().is_defined


def test_spike_at_rate_zero_is_infinitely_wrong() -> None:
    """-inf is the value; no eps makes a finite one of it."""
    rates = torch.full_like(COUNTS, 0.5)
    rates[0, 0] = 0.0
    found = PoissonFit.of(rates, COUNTS)
    assert found.bits_per_spike()[0].value == -math.inf
    assert found.score().value == -math.inf
    rates[0, 0], rates[1, 0] = 0.5, 0.0  # no spike there
    assert math.isfinite(PoissonFit.of(rates, COUNTS).score().value)


@pytest.mark.parametrize(
    ("rate", "count"), [(-0.1, 0.0), (0.5, -1.0), (math.nan, 0.0), (math.inf, 1.0), (0.5, math.nan)]
)
def test_what_is_outside_the_domain_is_bad(rate: float, count: float) -> None:
    """A negative rate where there is no spike would else be rewarded."""
    rates, counts = torch.full_like(COUNTS, 0.5), COUNTS.clone()
    rates[1, 0], counts[1, 0] = rate, count
    found = PoissonFit.of(rates, counts)
    assert math.isnan(found.score().value)
    assert "1 elements" in found.score().reason
    assert math.isnan(found.bits_per_spike().mean().value)
    assert math.isnan(found.deviance_per_bin()[0].value)
    assert found.bits_per_spike()[2].is_defined


def test_log_rates_agree_and_reach_further() -> None:
    """exp(-200) is 0 in float32; its logarithm is not."""
    eta = torch.tensor([[-1.0, 0.3, -200.0], [0.5, -0.2, 0.1], [0.0, -3.0, 0.2], [0.1, 0.1, -100.0]])
    by_log, by_rate = PoissonFit.of_log_rates(eta.double(), COUNTS), PoissonFit.of(eta.double().exp(), COUNTS)
    assert by_log.score().value == pytest.approx(by_rate.score().value, rel=1e-13)
    assert math.isfinite(PoissonFit.of_log_rates(eta, COUNTS).score().value)
    assert PoissonFit.of(eta.exp(), COUNTS).score().value == -math.inf


def test_deviance_and_calibration() -> None:
    """0 for rates that equal the counts; twice the rate halves the calibration."""
    perfect = PoissonFit.of(COUNTS, COUNTS)
    assert perfect.deviance_per_bin().values.tolist() == [0.0, 0.0, 0.0]
    assert perfect.deviance_explained().values[::2].tolist() == [1.0, 1.0]
    double = PoissonFit.of(2 * COUNTS.mean(0).expand_as(COUNTS), COUNTS).calibration()
    assert double.values[::2].tolist() == pytest.approx([0.5, 0.5])
    assert double.lacking.tolist() == [False, True, False]


def test_same_count_in_each_bin_leaves_nothing_to_explain() -> None:
    """The null is perfect there; 1 - 0/0 is no number."""
    found = PoissonFit.of(torch.full((7, 1), 0.4), torch.full((7, 1), 3.0)).deviance_explained()
    assert found.lacking.tolist() == [True]
