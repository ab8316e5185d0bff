"""Each metric equals its definition, however the samples are cut into batches, and in whatever order they come."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics import everything, twins
from tests.metrics.everything import NUM_SAMPLES, Data

EXACT = 1e-12


def deviation(found: float, expected: float) -> float:
    """The relative distance; infinite where only one of them is defined."""
    if math.isnan(found) or math.isnan(expected):
        return 0.0 if math.isnan(found) and math.isnan(expected) else math.inf
    return 0.0 if found == expected else abs(found - expected) / abs(expected or 1.0)


@functools.cache
def whole() -> Data:
    """The data set."""
    return everything.data()


@functools.cache
def expected() -> dict[str, float]:
    """By definition."""
    return twins.references(whole())


def check(found: dict[str, float], expected: dict[str, float]) -> None:
    """All metrics, each to 1e-12; the bits per spike of this data are of the order of .1."""
    assert found.keys() == expected.keys()
    assert len(found) == 40
    wrong = {n: (found[n], expected[n]) for n in found if not deviation(found[n], expected[n]) <= EXACT}
    assert wrong == {}


@pytest.mark.parametrize("batch_size", [1, 7, 64, NUM_SAMPLES])
def test_batch_size_changes_no_value(batch_size: int) -> None:
    """From one sample a batch to all in one, 40 % masked, uneven last batches among them."""
    order = np.arange(NUM_SAMPLES)
    batches = [order[start : start + batch_size] for start in range(0, NUM_SAMPLES, batch_size)]
    check(everything.values(everything.merged(whole(), batches)), expected())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, NUM_SAMPLES), max_size=6))
def test_division_and_order_change_no_value(seed: int, cuts: list[int]) -> None:
    """Any order of the samples, cut anywhere, some parts empty."""
    order = np.random.default_rng(seed).permutation(NUM_SAMPLES)
    batches = np.split(order, sorted(cuts))
    check(everything.values(everything.merged(whole(), batches)), expected())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_merging_is_associative_and_commutative(seed: int) -> None:
    """(a + b) + c, a + (b + c) and c + (b + a) are the same numbers."""
    order = np.random.default_rng(seed).permutation(NUM_SAMPLES)
    a, b, c = (everything.of(whole(), rows) for rows in np.split(order, [30, 101]))
    first = everything.values((a + b) + c)
    check(everything.values(a + (b + c)), first)
    check(everything.values(c + (b + a)), first)


def test_no_data_is_neutral_and_undefined() -> None:
    """Nothing added changes nothing, to the bit; nothing alone has no value, and never 0."""
    some = everything.of(whole(), np.arange(100))
    assert everything.values(some + everything.empty()) == everything.values(everything.empty() + some)
    assert everything.values(some + everything.empty()) == everything.values(some)
    assert all(math.isnan(value) for value in everything.values(everything.empty()).values())
