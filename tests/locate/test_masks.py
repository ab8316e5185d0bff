from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.locate.masks import Mask, first_of


@given(st.lists(st.integers(0, 5), max_size=3), st.floats(0, 1), st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_mask_is_what_was_packed(shape: list[int], share: float, seed: int) -> None:
    """In any shape, full, empty and in between."""
    dense = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share
    mask = Mask.of(dense)
    assert torch.equal(mask.dense(), dense)
    assert mask.is_full == (bool(dense.all()) and dense.numel() > 0)
    assert mask.is_empty == (not dense.any())
    assert torch.equal(first_of(dense, 4), dense.nonzero()[:4])
    turned = dense.movedim(0, -1) if shape else dense
    assert torch.equal(first_of(turned, 4), turned.nonzero()[:4])


@pytest.mark.parametrize(("value", "most"), [(False, 0), (True, 0), (None, 1000)])
def test_memory_of_a_mask(value: bool | None, most: int) -> None:  # noqa: FBT001  the three kinds
    """A bit an element; nothing where all are alike."""
    dense = torch.rand(80, 100) < 0.5 if value is None else torch.full((80, 100), value)
    bits = Mask.of(dense).bits
    assert (0 if bits is None else bits.nbytes) == most


def test_first_elements_lie_far_apart() -> None:
    """Over several chunks, of a mask that is not contiguous, and of one that takes no memory."""
    dense = torch.zeros(300_000, dtype=torch.bool)
    dense[[5, 70_000, 299_999]] = True
    assert first_of(dense, 2).flatten().tolist() == [5, 70_000]
    turned = dense.reshape(300, 1000).T
    assert torch.equal(first_of(turned, 9), turned.nonzero())
    assert first_of(torch.tensor([True]).expand(1000, 1000), 3).tolist() == [[0, 0], [0, 1], [0, 2]]
