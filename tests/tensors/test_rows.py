"""Rows of a batch are exchanged in every container, and nothing else is touched."""

from collections import UserDict
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from evenkeel.tensors.rows import holds_rows, with_rows
from evenkeel.tensors.trees import named_tensors

ROWS = (0, 0, 2, 1)  # the second and the fourth are exchanged


class Pair(NamedTuple):
    """Inputs and targets."""

    x: Tensor
    y: Tensor


class Graphs:
    """Nodes of four graphs laid end to end, in an object."""

    def __init__(self) -> None:
        self.nodes = torch.rand(9, 2)
        self.graph = torch.tensor([0, 0, 1, 1, 1, 2, 2, 3, 3])


def numbered(*shape: int) -> Tensor:
    """Four rows that can be told apart."""
    return torch.arange(4.0).reshape(4, *[1] * len(shape)).expand(4, *shape).clone()


BATCHES: dict[str, Any] = {
    "tensor": numbered(3),
    "list": [numbered(2, 2), numbered()],
    "tuple": (numbered(3), numbered().long()),
    "named tuple": Pair(numbered(3), numbered()),
    "mapping": {"x": numbered(3), "y": {"z": numbered()}},
    "user mapping": UserDict({"x": numbered(3)}),
    "ragged": [numbered(n)[n] for n in range(4)],
    "with a scalar": [numbered(3), torch.tensor(7.0)],
    "with texts": [numbered(3), ["a", "b", "c", "d"]],
}


def firsts(batch: Any) -> list[Any]:  # noqa: ANN401  whatever a batch is
    """Every leaf's rows, by their first elements."""
    if isinstance(batch, Tensor):
        return batch.reshape(len(batch), -1)[:, 0].tolist() if batch.dim() else [float(batch)]
    if isinstance(batch, str):
        return [batch]
    parts = batch.values() if hasattr(batch, "values") else batch
    return [leaf for part in parts for leaf in firsts(part)]


@pytest.mark.parametrize("name", [name for name in BATCHES if name != "ragged"])
def test_rows_are_exchanged(name: str) -> None:
    """In new containers of the same kind; the given one stays as it was."""
    batch = BATCHES[name]
    before = firsts(batch)
    changed = with_rows(batch, ROWS)
    assert type(changed) is type(batch)
    assert firsts(batch) == before
    expected = [row for start in range(0, len(before), 4) for row in exchanged(before[start : start + 4])]
    assert firsts(changed) == expected
    assert holds_rows(batch, 4, everything(batch))


def everything(batch: Any) -> set[int]:  # noqa: ANN401  the same
    """All tensors of a batch."""
    return {id(tensor) for _, tensor in named_tensors(batch, "")}


def exchanged(four: list[Any]) -> list[Any]:
    """What is left of four rows; a scalar is itself."""
    return [four[row] for row in ROWS] if len(four) == 4 else four


def test_elements_of_a_list_are_rows_too() -> None:
    """One tensor for each sample, of different lengths."""
    batch = [torch.full((n + 1,), float(n)) for n in range(4)]
    assert [len(t) for t in with_rows(batch, ROWS)] == [1, 1, 3, 2]
    assert holds_rows(batch, 4, everything(batch))


def test_only_concerned_tensors_have_to_have_rows() -> None:
    """Two kinds of data of different sizes in one batch: cells and bulk samples."""
    cells, bulk = torch.rand(6, 2), numbered(2)
    assert holds_rows([cells, bulk], 4, {id(bulk)})
    assert not holds_rows([cells, bulk], 4, {id(bulk), id(cells)})
    assert not holds_rows([cells, bulk], 4, set())
    changed = with_rows([cells, bulk], ROWS)
    assert changed[0] is cells
    assert firsts(changed[1]) == [0.0, 0.0, 2.0, 1.0]


def test_two_tensors_are_not_two_samples() -> None:
    """Inputs and targets of a batch of two."""
    batch = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor(5.0)]
    changed = with_rows(batch, (1, 1))
    assert changed[0].tolist() == [[3.0, 4.0], [3.0, 4.0]]
    assert changed[1] == 5.0


@pytest.mark.parametrize(
    "batch",
    [Graphs(), pack_sequence([torch.rand(3), torch.rand(2)]), [torch.rand(3, 4)], torch.rand(()), "text", 4],
    ids=["graphs", "packed", "other size", "scalar", "text", "number"],
)
def test_what_has_no_rows_cannot_be_exchanged(batch: object) -> None:
    """Samples laid end to end, in objects, along another dimension."""
    assert not holds_rows(batch, 4, everything(batch))


def test_gradients_are_asked_for_as_before() -> None:
    """A batch that an attack differentiates."""
    batch = numbered(2).requires_grad_()
    assert with_rows(batch, ROWS).requires_grad
    assert with_rows(batch, ROWS).is_leaf


@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.integers(0, n - 1), min_size=n, max_size=n)))
def test_same_as_indexing(rows: list[int]) -> None:
    """For every choice of rows."""
    batch = torch.rand(len(rows), 2)
    assert torch.equal(with_rows(batch, rows), batch[rows])
