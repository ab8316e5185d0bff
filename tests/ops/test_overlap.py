from __future__ import annotations

import pytest
import torch
from tests.ops.derive import at

from evenkeel import ops


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("overlap", [ops.dice, ops.intersection_over_union])
def test_two_empty_masks_agree(overlap: object, dtype: torch.dtype) -> None:
    """1 with slope 0; one empty mask is 0."""
    value, slope = at(lambda p: overlap(p, torch.tensor([[0, 0], [0, 1]])), [[0.0, 0.0], [0.0, 0.0]], dtype=dtype)
    assert value == [1.0, 0.0]
    assert slope[0] == [0.0, 0.0]


def test_values() -> None:
    """Small masks by hand, more than one dimension, and boolean targets."""
    p, t = torch.tensor([0.5, 1.0, 0.0]), torch.tensor([1, 1, 0])
    assert ops.dice(p, t).item() == pytest.approx(3 / 3.5)
    assert ops.intersection_over_union(p, t).item() == pytest.approx(1.5 / 2)
    assert ops.dice(torch.ones(2, 3, 3), torch.ones(2, 3, 3), (-2, -1)).tolist() == [1.0, 1.0]
    assert ops.intersection_over_union(p, torch.tensor([True, True, False])).item() == pytest.approx(0.75)


def test_nan_comes_through() -> None:
    """No nan is swallowed, in whichever argument it stands."""
    assert ops.dice(torch.tensor([torch.nan, 0.0]), torch.zeros(2)).isnan()
