"""Sums over sums: batches of different weight do not count alike."""

import math

import pytest
import torch

from evenkeel.metrics import MaskedMean, Ratio


def test_mean_of_batch_means_is_another_number() -> None:
    """Two batches, of 1 and of 3 elements that count."""
    first = MaskedMean.of(torch.tensor([8.0, 1.0]), torch.tensor([True, False]))
    second = MaskedMean.of(torch.tensor([0.0, 0.0, 4.0]))
    assert (first + second).score().value == 3.0
    assert (first.score().value + second.score().value) / 2 != 3.0
    assert (first + second).score().coverage == 0.8


def test_ratio_of_sums() -> None:
    """A loss over the tokens of all batches; a batch without tokens adds nothing and spoils nothing."""
    found = Ratio.of(torch.tensor([6.0, 0.0]), torch.tensor([2.0, 0.0])) + Ratio.of(
        torch.tensor([3.0]), torch.tensor([7.0])
    )
    assert found.score().value == 1.0
    assert not Ratio.of(torch.tensor([1.0]), torch.tensor([0.0])).score().is_defined


def test_infinite_loss_is_shown() -> None:
    """The mean is infinite, and the reason says through how many."""
    found = MaskedMean.of(torch.tensor([1.0, math.inf])).score()
    assert found.value == math.inf
    assert found.reason.startswith("1 elements are not finite")


@pytest.mark.parametrize("num", [10, 1000])
def test_many_small_batches_lose_nothing(num: int) -> None:
    """0.1 in float32 has a finite binary form: the mean of any number of them is itself, to the bit."""
    tenth = torch.tensor([0.1])
    found = MaskedMean.empty()
    for _ in range(num):
        found = found + MaskedMean.of(tenth)
    assert found.score().value == tenth.item()
