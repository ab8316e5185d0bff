from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evenkeel import ops
from evenkeel.core.errors import UsageError

COUNTS = torch.tensor([[1, 0, 3], [0, 0, 7]])


def test_values_and_record() -> None:
    """A row with a single positive column attains log(1 + target_sum), no other does."""
    values, record = ops.normalise_counts(COUNTS)
    assert record == ops.CountNormalisation(target_sum=1e4, base=None)
    assert record.steps == ("total-count", "log1p")
    assert values.dtype == torch.float32
    assert values[1, 2].item() == pytest.approx(9.2104404)
    assert values[0].tolist() == pytest.approx([math.log1p(2500), 0, math.log1p(7500)])
    two, _ = ops.normalise_counts(COUNTS, 1e6, base=2)
    assert two[0, 0].item() == pytest.approx(math.log2(250001))


@given(
    st.lists(st.lists(st.integers(0, 10_000), min_size=3, max_size=3), min_size=1, max_size=5),
    st.sampled_from([None, 2.0, 10.0]),
)
def test_back_to_counts(rows: list[list[int]], base: float | None) -> None:
    """The record undoes what it did, to the digits that the dtype kept."""
    counts = torch.tensor(rows, dtype=torch.float64) + torch.tensor([1.0, 0.0, 0.0])
    values, record = ops.normalise_counts(counts, base=base)
    back = record.undo(values, counts.sum(-1))
    torch.testing.assert_close(back, counts, rtol=1e-12, atol=1e-9)
    float_back = record.undo(values.float(), counts.sum(-1))
    assert (float_back - counts).abs().max() <= 1e-4 * counts.max()


def test_what_was_transformed_already_is_refused_in_a_sentence() -> None:
    """The text says how many values give it away, and what they look like."""
    values, record = ops.normalise_counts(COUNTS)
    with pytest.raises(
        UsageError, match=r"3 of 6 counts are not whole, the largest value is 9.21044: .*log-transformed already"
    ):
        record.apply(values)
    with pytest.raises(UsageError, match=r"1 of 3 counts are negative: .*centred or scaled"):
        ops.normalise_counts(torch.tensor([[1.0, -1.0, 2.0]]))
    with pytest.raises(UsageError, match="1 of 2 counts are negative"):
        ops.require_counts(torch.tensor([[1, -1]]))
    with pytest.raises(UsageError, match="2 of 3 counts are nan or inf"):
        ops.require_counts(torch.tensor([torch.nan, torch.inf, 1.0]))


def test_an_empty_row_is_named() -> None:
    """By its number; of many, the first eight."""
    with pytest.raises(UsageError, match="2 of 3 rows have a total of 0: 0, 2; drop them"):
        ops.normalise_counts(torch.tensor([[0, 0], [1, 0], [0, 0]]))
    with pytest.raises(UsageError, match="and 2 more"):
        ops.normalise_counts(torch.zeros(10, 2))


@pytest.mark.parametrize(
    ("target_sum", "base", "word"), [(0.0, None, "target_sum"), (math.inf, None, "target_sum"), (1.0, 1.0, "base")]
)
def test_records_that_make_no_sense(target_sum: float, base: float | None, word: str) -> None:
    """A target of 0 or infinity, and a logarithm to the base 1."""
    with pytest.raises(UsageError, match=f"^{word} is"):
        ops.normalise_counts(COUNTS, target_sum, base)
