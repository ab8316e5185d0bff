from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from evenkeel.locate.layout import Layout, carried

BASE = torch.arange(24.0).reshape(4, 6)
VIEWS = {
    "whole": BASE,
    "row": BASE[2],
    "column": BASE[:, 3],
    "steps": BASE[1::2, ::3],
    "transposed": BASE.T,
    "folded": BASE.view(2, 2, 6).transpose(0, 2),
    "expanded": BASE[:, :1].expand(4, 5),
    "windows": BASE.unfold(1, 3, 2),
    "scalar": BASE[3, 5],
    "flat": BASE.view(-1)[5:9],
    "empty": BASE[4:],
}


@pytest.mark.parametrize("name", VIEWS)
def test_positions_tell_where_elements_lie(name: str) -> None:
    """The base counts its own positions, so every view shows them as values."""
    view = VIEWS[name]
    assert torch.equal(Layout.of(view).positions(), view.to(torch.int64))


def marked_places(view: Tensor, mask: Tensor) -> set[int]:
    """The twin: the places in the base that marked elements of a view show."""
    return {int(place) for place in view[mask]}


@given(st.sampled_from(sorted(VIEWS)), st.sampled_from(sorted(VIEWS)), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_marks_are_carried_over_to_the_same_places(source: str, target: str, chance: object) -> None:
    """From any view to any other: an element is marked when its place is. From a view to itself nothing changes."""
    generator = torch.Generator().manual_seed(chance.randint(0, 10**6))  # type: ignore[attr-defined]
    first, second = VIEWS[source], VIEWS[target]
    mask = torch.rand(first.shape, generator=generator) < 0.4
    places = marked_places(first, mask)
    marks = [int(place) in places for place in second.reshape(-1)] if first is not second else mask.reshape(-1).tolist()
    expected = torch.tensor(marks, dtype=torch.bool)
    found = carried(mask, Layout.of(first), Layout.of(second))
    assert torch.equal(found.reshape(-1), expected)


@pytest.mark.parametrize("name", VIEWS)
def test_arrangement_has_each_place_once(name: str) -> None:
    """A transpose is one of the whole; a part, or a view that repeats, is none."""
    assert Layout.of(VIEWS[name]).is_arrangement_of(Layout.of(BASE)) == (name in {"whole", "transposed", "folded"})


def test_complex_numbers_and_their_parts_meet() -> None:
    """A mark on an imaginary part is one on the number."""
    numbers = torch.zeros(3, dtype=torch.complex64)
    parts = torch.view_as_real(numbers)
    mask = torch.zeros(3, 2, dtype=torch.bool)
    mask[1, 1] = True
    assert carried(mask, Layout.of(parts), Layout.of(numbers)).tolist() == [False, True, False]
    assert carried(mask.any(1), Layout.of(numbers), Layout.of(parts)).tolist() == [[False] * 2, [True] * 2, [False] * 2]


def test_what_has_no_places_is_all_or_nothing() -> None:
    """A sparse tensor."""
    sparse = Layout.of(BASE.to_sparse())
    mask = torch.zeros(4, 6, dtype=torch.bool)
    assert not carried(mask, Layout.of(BASE), sparse).any()
    mask[1, 1] = True
    assert carried(mask, Layout.of(BASE), sparse).all()
