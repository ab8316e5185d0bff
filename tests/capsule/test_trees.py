"""Nested containers come back with every bit; what cannot be stored is named."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import OrderedDict, defaultdict, namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from evenkeel.capsule.formats import read_tensors, write_tensors
from evenkeel.capsule.likeness import fits
from evenkeel.capsule.trees import Packing
from evenkeel.capsule.unpacking import ABSENT, Unpacking

Pair = namedtuple("Pair", "left right")  # noqa: PYI024  what many loaders hand out


@dataclasses.dataclass(frozen=True)
class Sample:
    """A batch of somebody's own class."""

    x: Tensor
    name: str


class Graph:
    """A batch of a class that is no dataclass."""

    def __init__(self, x: Tensor, edges: Tensor, label: str) -> None:
        self.store = {"x": x, "edges": [edges]}
        self.label = label


class Colour(enum.IntEnum):
    """A plain number by inheritance, an object of a class all the same."""

    RED = 1


def there_and_back(value: object, path: Path, like: object = ABSENT) -> tuple[Any, list[str]]:
    """The value after a trip through two files, and what was left out."""
    packing = Packing()
    node = json.loads(json.dumps(packing.pack(value, "batch"), allow_nan=False))
    path.unlink(missing_ok=True)
    write_tensors(path, packing.tensors)
    back = Unpacking(read_tensors(path.read_bytes(), "file"), "file").unpack(node, like)
    return back, [missing.what for missing in packing.missing]


def same(a: Any, b: Any) -> bool:  # noqa: ANN401  any value
    """Equal in type and bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return (a.dtype, a.shape) == (b.dtype, b.shape) and torch.equal(a, b)
    if isinstance(a, np.ndarray | np.generic):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return repr(a) == repr(b)  # NaN too


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(
        [np.float32(1.5), np.arange(6).reshape(2, 3)[:, ::2], np.ones((), dtype=bool), np.complex64(1 + 2j)]
    ),
    st.sampled_from([torch.arange(6.0).reshape(2, 3).t(), torch.tensor(3, dtype=torch.int16), torch.zeros(0, 2)]),
)
keys = st.none() | st.booleans() | st.integers() | st.text()
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_plain_containers_come_back_exactly(value: object) -> None:
    """Types, order, bits of floats, every leaf."""
    packing = Packing()
    node = json.loads(json.dumps(packing.pack(value, "batch"), allow_nan=False))
    assert same(Unpacking(packing.tensors, "file").unpack(node), value)
    assert fits(node, value)
    assert packing.missing == []


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(2, 3, dtype=torch.complex64),
        torch.randn(2, 2, dtype=torch.complex128).conj(),
        torch.randn(4, 4)[::2, 1:],
        torch.ones(1).expand(3),
        torch.randn(1, 3, 4, 4).to(memory_format=torch.channels_last),
        torch.sparse_coo_tensor([[0, 2, 0]], [1.0, 2.0, 3.0], (4,), check_invariants=True),
        torch.sparse_coo_tensor([[0, 2]], torch.ones(2, 3), (4, 3), check_invariants=True).coalesce(),
        torch.sparse_coo_tensor([[0, 1]], torch.ones(2, dtype=torch.complex64), (2,), check_invariants=True),
        torch.tensor([1.0, float("nan")], requires_grad=True),
        nn.Parameter(torch.ones(2)),
        torch.randn(3).to(torch.float8_e4m3fn),
    ],
    ids=lambda t: f"{t.dtype} {t.layout} {tuple(t.shape)}",
)
def test_every_kind_of_tensor(tensor: Tensor, tmp_path: Path) -> None:
    """Values, strides where they are dense, and whether gradients are asked for."""
    back, missing = there_and_back(tensor, tmp_path / "file")
    assert missing == []
    assert (back.dtype, back.shape, back.layout, back.requires_grad) == (
        tensor.dtype, tensor.shape, tensor.layout, tensor.requires_grad,
    )  # fmt: skip
    if tensor.layout == torch.strided:
        assert back.resolve_conj().flatten().tolist().__repr__() == tensor.resolve_conj().flatten().tolist().__repr__()
        if tensor.is_contiguous(memory_format=torch.channels_last) and tensor.ndim == 4:
            assert back.stride() == tensor.stride()
    else:
        assert back.is_coalesced() == tensor.is_coalesced()
        assert torch.equal(back._indices(), tensor._indices())  # noqa: SLF001  coalesce() would hide a difference
        assert torch.equal(back._values(), tensor._values())  # noqa: SLF001  the same


def test_one_tensor_in_two_places_stays_one(tmp_path: Path) -> None:
    """And is stored once."""
    x = torch.ones(3)
    back, _ = there_and_back({"a": x, "b": [x, x.clone()]}, tmp_path / "file")
    assert back["a"] is back["b"][0]
    assert back["a"] is not back["b"][1]


def test_classes_come_from_the_living_example(tmp_path: Path) -> None:
    """Named tuples, dataclasses, ordered dicts and objects; values are the captured ones."""
    captured = Pair(
        Sample(torch.ones(2), "captured"),
        OrderedDict(b=torch.zeros(1), a=Graph(torch.ones(1), torch.arange(2), "then")),
    )
    living = Pair(
        Sample(torch.zeros(3), "living"),
        OrderedDict(b=torch.ones(4), a=Graph(torch.zeros(9), torch.zeros(5).long(), "now")),
    )
    back, missing = there_and_back(captured, tmp_path / "file", living)
    assert type(back) is Pair
    assert type(back.left) is Sample
    assert (back.left.x.tolist(), back.left.name) == ([1, 1], "captured")
    assert type(back.right) is OrderedDict
    graph = back.right["a"]
    assert type(graph) is Graph
    assert (graph.store["x"].tolist(), graph.store["edges"][0].tolist(), graph.label) == ([1], [0, 1], "now")
    assert living.right["a"].store["x"].numel() == 9, "the example was written into"
    assert len(missing) == 1
    assert missing[0].startswith("batch.right['a'] (")
    assert missing[0].endswith("Graph), all but its tensors")


def test_without_an_example_containers_are_plain(tmp_path: Path) -> None:
    """No class is looked up by its name."""
    back, _ = there_and_back(Pair(Sample(torch.ones(2), "n"), defaultdict(list, a=1)), tmp_path / "file")
    assert same(back, {"left": {"x": torch.ones(2), "name": "n"}, "right": {"a": 1}})


def test_a_default_factory_comes_from_the_example(tmp_path: Path) -> None:
    """The living one's."""
    back, _ = there_and_back(defaultdict(list, a=1), tmp_path / "file", defaultdict(list, a=2))
    assert back == {"a": 1}
    assert back["new"] == []


class Labeled(Tensor):
    """A tensor with an attribute."""


def test_a_tensor_subclass_comes_from_the_example(tmp_path: Path) -> None:
    """With what the example carries."""
    living = torch.zeros(2).as_subclass(Labeled)
    living.unit = "m"  # type: ignore[attr-defined]
    back, _ = there_and_back(torch.ones(2).as_subclass(Labeled), tmp_path / "file", living)
    assert type(back) is Labeled
    assert (back.unit, back.as_subclass(Tensor).tolist()) == ("m", [1, 1])  # type: ignore[attr-defined]


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)
LEFT_OUT = {
    "enum": Colour.RED,
    "function": len,
    "set": {1},
    "bytes": b"x",
    "keys of tuples": {(1, 2): 3},
    "strings of NumPy": np.array(["a"]),
    "meta": torch.empty(2, device="meta"),
    "csr": "a tensor, made in the test because torch warns of it",
    "circle": CIRCLE,
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("kind", LEFT_OUT)
def test_what_cannot_be_stored_is_named(kind: str, tmp_path: Path) -> None:
    """Never pickled, never dropped in silence; taken from the example when there is one."""
    value = torch.eye(2).to_sparse_csr() if kind == "csr" else LEFT_OUT[kind]
    back, missing = there_and_back([1, value], tmp_path / "file")
    assert back[0] == 1
    assert len(missing) == 1
    assert missing[0].startswith("batch[1]")
    if kind != "circle":
        assert back[1] is ABSENT
        again, _ = there_and_back([1, value], tmp_path / "file", [2, "living"])
        assert again == [1, "living"]


@pytest.mark.parametrize(
    ("stored", "living", "expected"),
    [
        ([torch.ones(4, 3)], [torch.ones(1, 3)], True),
        ([torch.ones(4, 3)], [torch.ones(4, 3, 1)], False),
        ([torch.ones(4, 3)], [torch.ones(4, 3).double()], False),
        ([torch.ones(4, 3)], (torch.ones(4, 3),), False),
        ([torch.ones(4)], [torch.ones(4), torch.ones(4)], False),
        ({"a": 1}, {"a": 2}, True),
        ({"a": 1}, {"b": 1}, False),
        (Pair(1, 2), Pair(3, 4), True),
        (Pair(1, 2), (3, 4), False),
        (Colour.RED, "anything", True),
        (np.ones(2), np.ones(5), True),
        (np.ones(2), np.ones(5, dtype=np.float32), False),
        ("text", torch.ones(1), False),
    ],
)
def test_likeness(stored: object, living: object, *, expected: bool) -> None:
    """Sizes may differ, kinds may not."""
    assert fits(json.loads(json.dumps(Packing().pack(stored, "batch"))), living) is expected
