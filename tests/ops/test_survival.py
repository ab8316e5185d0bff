from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at

from evenkeel import ops
from evenkeel.core.errors import UsageError


def slowly(h: list[float], time: list[int], event: list[bool], ties: str) -> float:
    """Event by event, in the order that the textbook has."""
    total = 0.0
    for moment in sorted({t for t, e in zip(time, event, strict=True) if e}):
        risk = sum(math.exp(v) for v, t in zip(h, time, strict=True) if t >= moment)
        tied = [v for v, t, e in zip(h, time, event, strict=True) if e and t == moment]
        for i, v in enumerate(tied):
            left = risk - (i / len(tied) * sum(map(math.exp, tied)) if ties == "efron" else 0)
            total += math.log(left) - v
    return total / max(sum(event), 1)


SUBJECTS = st.lists(st.tuples(st.floats(-3, 3), st.integers(0, 5), st.booleans()), min_size=1, max_size=12)


@given(SUBJECTS, st.sampled_from(["breslow", "efron"]))
def test_beside_the_textbook(subjects: list, ties: str) -> None:
    """In value and count, for all ties and censored times."""
    h, time, event = map(list, zip(*subjects, strict=True))
    got = ops.cox_partial_likelihood(
        torch.tensor(h, dtype=torch.float64), torch.tensor(time), torch.tensor(event), ties
    )
    assert got.value.item() == pytest.approx(slowly(h, time, event, ties), abs=1e-12)
    assert got.population == sum(event)


def test_no_event() -> None:
    """0 of 0 and a gradient of 0; an event alone in its risk set costs nothing."""
    time = torch.tensor([1.0, 2.0])
    value, slope = at(lambda h: ops.cox_partial_likelihood(h, time, torch.tensor([False, False])).value, [1.0, 2.0])
    assert value == 0
    assert slope == [0.0, 0.0]
    assert ops.cox_partial_likelihood(torch.zeros(2), time, torch.tensor([False, True])) == (0, 1)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_large_hazards(ties: str) -> None:
    """The sum of exp would overflow; the loss is the difference of the largest."""
    event = torch.tensor([True, True, True])
    value, slope = at(
        lambda h: ops.cox_partial_likelihood(h, torch.tensor([1.0, 2.0, 3.0]), event, ties).value, [0.0, 500.0, 900.0]
    )
    assert value == pytest.approx((900 + 400 + 0) / 3)
    assert all(map(math.isfinite, slope))


def test_an_event_that_is_all_of_its_risk_set_but_for_rounding() -> None:
    """Two tied events hold all the hazard: log(1 - ½) is added for the second."""
    h, time, event = torch.zeros(2), torch.ones(2), torch.tensor([True, True])
    assert ops.cox_partial_likelihood(h, time, event).value.item() == pytest.approx(math.log(2) / 2)
    assert ops.cox_partial_likelihood(h, time, event, "breslow").value.item() == pytest.approx(math.log(2))


def test_second_derivatives_of_torch_are_wrong() -> None:
    """Why the running sums are taken by hand. Once this fails, torch.logcumsumexp may be used."""
    weights = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert not torch.autograd.gradgradcheck(lambda x: torch.logcumsumexp(x, -1) * weights, (x,), raise_exception=False)


def test_an_unknown_word() -> None:
    """The answer names the known ones."""
    with pytest.raises(UsageError, match=r"ties='exact'.*'breslow' or 'efron'"):
        ops.cox_partial_likelihood(torch.zeros(1), torch.zeros(1), torch.tensor([True]), "exact")
