from __future__ import annotations

import pytest
import torch

from evenkeel.locate.content import content_of
from evenkeel.locate.record import Touch, storage_of

BASE = torch.arange(24.0).reshape(4, 6)
VIEWS = {
    "whole": BASE,
    "row": BASE[2],
    "column": BASE[:, 3],
    "transposed": BASE.T,
    "expanded": BASE[:, :1].expand(4, 5),
    "scalar": BASE[3, 5],
}
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_the_key_of_their_storage(name: str) -> None:
    """And a copy does not."""
    assert storage_of(VIEWS[name]) == storage_of(BASE)
    assert storage_of(BASE.clone()) != storage_of(BASE)


def test_sparse_tensor_has_a_key() -> None:
    """A sparse tensor has no single storage; it is itself."""
    sparse = BASE.to_sparse()
    assert storage_of(sparse) == storage_of(sparse)
    assert not Touch.at(sparse, "s").layout.is_plain


def test_mask_of_a_healthy_touch_is_refused() -> None:
    """Nothing non-finite was noted: asking for it is a mistake in evenkeel."""
    touch = Touch.at(BASE, "x")
    assert not touch.bad
    with pytest.raises(ValueError, match="x has only finite elements"):
        touch.nonfinite()


def test_mask_joins_nan_and_infinities() -> None:
    """Both kinds count."""
    tensor = torch.tensor([NAN, INF, 1.0])
    touch = Touch.at(tensor, "x")
    touch.content = content_of(tensor)
    assert touch.bad
    assert touch.nan is not None
    assert touch.nan.tolist() == [True, False, False]
    assert touch.nonfinite().tolist() == [True, True, False]


def test_content_of_another_arrangement_is_brought_into_order() -> None:
    """What was seen in a matrix, told of its transpose."""
    tensor = torch.tensor([[NAN, 1.0, INF], [2.0, 3.0, 4.0]])
    written = Touch.at(tensor, "out")
    written.content = content_of(tensor)
    read = Touch.at(tensor.T, "self")
    read.content, read.source = written.content, written
    assert read.nan is not None
    assert torch.equal(read.nan, tensor.T.isnan())
    assert torch.equal(read.nonfinite(), ~tensor.T.isfinite())
    assert read.stats is not None
    assert (read.stats.name, read.stats.shape, read.stats.num_nan) == ("self", (3, 2), 1)
