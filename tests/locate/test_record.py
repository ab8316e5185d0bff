from __future__ import annotations

import pytest
import torch
from torch import Tensor

from evenkeel.locate.record import Touch, storage_of

BASE = torch.arange(24.0).reshape(4, 6)
VIEWS = {
    "whole": BASE,
    "row": BASE[2],
    "column": BASE[:, 3],
    "steps": BASE[1::2, ::3],
    "transposed": BASE.T,
    "expanded": BASE[:, :1].expand(4, 5),
    "windows": BASE.unfold(1, 3, 2),
    "scalar": BASE[3, 5],
    "flat": BASE.view(-1)[5:9],
}


@pytest.mark.parametrize("name", VIEWS)
def test_positions_tell_where_elements_lie(name: str) -> None:
    """The base counts its own positions, so every view shows them as values."""
    view = VIEWS[name]
    assert torch.equal(Touch.at(view, "v").positions(), view.to(torch.int64))


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_the_key_of_their_storage(name: str) -> None:
    """And a copy does not."""
    assert storage_of(VIEWS[name]) == storage_of(BASE)
    assert storage_of(BASE.clone()) != storage_of(BASE)


def test_sparse_tensor_has_a_key() -> None:
    """A sparse tensor has no single storage; it is itself."""
    sparse = BASE.to_sparse()
    assert storage_of(sparse) == storage_of(sparse)
    assert Touch.at(sparse, "s").stride == ()


def test_mask_of_a_healthy_touch_is_refused() -> None:
    """Nothing non-finite was noted: asking for it is a mistake in evenkeel."""
    touch = Touch.at(BASE, "x")
    assert not touch.bad
    with pytest.raises(ValueError, match="x has only finite elements"):
        touch.nonfinite()


def test_mask_joins_nan_and_infinities() -> None:
    """Both kinds count."""
    touch = Touch.at(BASE[0, :3], "x")
    nan: Tensor = torch.tensor([True, False, False])
    touch.nan, touch.inf = nan, nan.roll(1)
    assert touch.bad
    assert touch.nonfinite().tolist() == [True, True, False]
