from __future__ import annotations

import pytest
import torch

from evenkeel.locate.samples import batch_size, rows_of_batch


def marked(*shape: int, at: list[tuple[int, ...]]) -> torch.Tensor:
    """A mask that is true at the given places."""
    mask = torch.zeros(shape, dtype=torch.bool)
    for place in at:
        mask[place] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "rows"),
    [
        (marked(4, at=[(2,)]), (2,)),
        (marked(4, 7, at=[(1, 3), (3, 0)]), (1, 3)),
        (marked(4, 7, 2, at=[(0, 6, 1)]), (0,)),
        (marked(7, 4, at=[(3, 1), (0, 3)]), (1, 3)),
        (marked(20, at=[(4,), (5,), (19,)]), (0, 1, 3)),
        (marked(20, 3, at=[(10, 2)]), (2,)),
        (marked(4, 4, at=[(2, 1)]), (2,)),
        (marked(4, at=[]), ()),
        (marked(7, at=[(2,)]), ()),
        (marked(3, 5, at=[(2, 2)]), ()),
        (torch.ones((), dtype=torch.bool), ()),
    ],
)
def test_rows_of_a_batch_of_four(mask: torch.Tensor, rows: tuple[int, ...]) -> None:
    """First dimension that fits, else a leading multiple, else unknown."""
    assert rows_of_batch(mask, 4) == rows


def test_rows_are_unknown_without_a_batch() -> None:
    """No batch was seen, or an empty one."""
    assert rows_of_batch(marked(4, at=[(2,)]), None) == ()
    assert rows_of_batch(marked(4, at=[(2,)]), 0) == ()


def test_batch_of_one_row() -> None:
    """A leading size of one is that row; other sizes are no multiple of it."""
    assert rows_of_batch(marked(1, 5, at=[(0, 3)]), 1) == (0,)
    assert rows_of_batch(marked(5, at=[(3,)]), 1) == ()


def test_batch_size_is_the_most_common_leading_size() -> None:
    """Scalars have none; one odd tensor does not count."""
    assert batch_size([torch.ones(4, 2), torch.ones(4), torch.ones(9), torch.tensor(1.0)]) == 4
    assert batch_size([torch.tensor(1.0)]) is None
    assert batch_size([]) is None
