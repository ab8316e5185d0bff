"""Errors, and skill against a baseline measured on the same elements."""

import pytest
import torch

from evenkeel.core.errors import UsageError
from evenkeel.metrics import Errors

TARGET = torch.tensor([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]], dtype=torch.float64)


def test_errors() -> None:
    """MAE, RMSE and bias of known errors."""
    found = Errors.of(TARGET + torch.tensor([[1.0, 2.0], [-1.0, 2.0], [3.0, 2.0]]), TARGET)
    assert found.mae().values.tolist() == pytest.approx([5 / 3, 2.0])
    assert found.rmse()[1].value == 2.0
    assert found.bias().values.tolist() == [1.0, 2.0]
    assert found.score().value == pytest.approx(11 / 6)


def test_skill_is_against_a_baseline_on_the_same_elements() -> None:
    """Perfect 1, the baseline itself 0, worse below 0; undefined where the baseline makes no error."""
    baseline = Errors.of(torch.full_like(TARGET, 3.0) * torch.tensor([1.0, 0.0]), TARGET)
    perfect, double = Errors.of(TARGET, TARGET), Errors.of(7.0 - TARGET, TARGET)
    for skill in (Errors.mae_skill, Errors.rmse_skill):
        assert skill(perfect, baseline)[0].value == 1.0
        assert skill(baseline, baseline)[0].value == 0.0
        assert skill(double, baseline)[0].value < 0.0
        assert skill(perfect, baseline).lacking.tolist() == [False, True]
        assert "without error" in skill(perfect, baseline)[1].reason


def test_baseline_of_other_elements_is_refused() -> None:
    """A skill over two populations compares nothing."""
    with pytest.raises(UsageError, match="same elements"):
        Errors.of(TARGET, TARGET).mae_skill(Errors.of(TARGET, TARGET, TARGET > 0))


def test_nothing_counted() -> None:
    """No error of 0."""
    found = Errors.of(TARGET, TARGET, torch.zeros_like(TARGET, dtype=torch.bool))
    assert not found.score().is_defined
    assert found.score().masked == 6
    assert not found.pooled().rmse()[0].is_defined
