from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from evenkeel.locate.batch import Batch
from evenkeel.locate.record import Touch


def rows(*shape: int) -> Tensor:
    """A tensor of ones."""
    return torch.ones(shape)


def samples(batches: list[Any], num_samples: int, tensor: Tensor, *spots: tuple[int, ...]) -> list[int] | None:
    """The samples that elements of a tensor belong to."""
    mask = torch.zeros(tensor.shape, dtype=torch.bool)
    for spot in spots:
        mask[spot] = True
    found = Batch(batches, num_samples).samples(Touch.at(tensor, "x"), mask)
    return None if found is None else found.nonzero().flatten().tolist()


def test_first_dimension_of_that_size() -> None:
    """Samples lie first, or second where sequences come first."""
    x, turned = rows(4, 7), rows(7, 4)
    assert samples([[x, turned]], 4, x, (1, 6), (3, 0)) == [1, 3]
    assert samples([[x, turned]], 4, turned, (6, 2)) == [2]
    assert samples([{"x": x}], 4, x[1:].T, (5, 0)) == [1]


def test_list_with_an_element_for_each_sample() -> None:
    """Ragged sequences, and lists of such lists."""
    parts = [rows(n, 2) for n in (2, 1, 3, 5)]
    assert samples([parts], 4, parts[2], (0, 1)) == [2]
    documents = [[rows(2, 2), rows(1, 2)], [rows(3, 2)], [rows(1, 2), rows(2, 2)]]
    assert samples([(documents, rows(3))], 3, documents[2][1], (1, 1)) == [2]


def test_list_of_unlike_tensors_is_no_list_of_samples() -> None:
    """Three tensors of a batch of three."""
    x, graph, y = rows(9, 2), torch.tensor([0, 0, 1, 1, 1, 1, 2, 2, 2]), rows(3)
    assert samples([[x, graph, y]], 3, x, (5, 0)) == [1]
    assert samples([[x, graph, y]], 3, y, (2,)) == [2]


@pytest.mark.parametrize(
    "told",
    [
        torch.tensor([0, 0, 1, 1, 1, 1, 3, 3, 3]),  # the sample of each row; the third has none
        torch.tensor([2, 4, 0, 3]),  # how many rows each has
        torch.tensor([0, 2, 6, 6, 9]),  # where they begin, and the end
        torch.tensor([0, 2, 6, 6, 9], dtype=torch.int32),
    ],
)
def test_rows_of_which_another_tensor_tells_the_sample(told: Tensor) -> None:
    """Nodes of graphs, tokens laid end to end."""
    x = rows(9, 4)
    assert samples([[x, told]], 4, x, (1, 0), (6, 3)) == [0, 3]


def test_packed_sequence_tells_its_samples() -> None:
    """By time, the longest first."""
    packed = pack_sequence([rows(2, 3), rows(4, 3), rows(3, 3)], enforce_sorted=False)
    assert samples([packed], 3, packed.data, (0, 0)) == [1]
    assert samples([packed], 3, packed.data, (2, 0), (8, 2)) == [0, 1]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensor_tells_its_samples() -> None:
    """By its offsets."""
    nested = torch.nested.nested_tensor([rows(2, 3), rows(4, 3), rows(3, 3)], layout=torch.jagged)
    assert samples([nested], 3, nested.values(), (5, 0), (6, 0)) == [1, 2]


def test_rows_without_a_map_are_unknown() -> None:
    """And without a number of samples all are."""
    x = rows(9, 2)
    assert samples([[x, rows(4)]], 4, x, (5, 0)) is None
    assert Batch([[x]], None).num_samples == 0
    assert Batch([], 4).storages == set()
