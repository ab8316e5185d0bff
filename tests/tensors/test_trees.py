from __future__ import annotations

import collections
import dataclasses
import types
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from evenkeel.tensors.trees import named_tensors, same_tensors


class Pair(NamedTuple):
    """A named tuple, as collate functions make them."""

    x: Any
    y: Any


@dataclasses.dataclass
class Example:
    """A dataclass batch."""

    image: Tensor
    label: Any
    note: str = "kept"


class Encoding(collections.UserDict):  # type: ignore[type-arg]
    """A mapping that is no dict, as tokenizers return it."""


A, B = torch.zeros(2), torch.ones(3)

TREES: dict[str, tuple[object, list[str]]] = {
    "tensor": (A, ["batch"]),
    "list": ([A, B], ["batch[0]", "batch[1]"]),
    "tuple": ((A, 3, B), ["batch[0]", "batch[2]"]),
    "dict": ({"x": A, 1: B}, ["batch['x']", "batch[1]"]),
    "ordered": (collections.OrderedDict(x=A, y=B), ["batch['x']", "batch['y']"]),
    "defaultdict": (collections.defaultdict(list, x=A, y=B), ["batch['x']", "batch['y']"]),
    "namedtuple": (Pair(A, [B]), ["batch.x", "batch.y[0]"]),
    "dataclass": (Example(A, B), ["batch.image", "batch.label"]),
    "mapping": (Encoding(x=A, y=B), ["batch['x']", "batch['y']"]),
    "nested": ({"x": [Pair(A, None)], "y": ({"z": B},)}, ["batch['x'][0].x", "batch['y'][0]['z']"]),
    "mapping of dataclass": (Encoding(x=Example(A, [B])), ["batch['x'].image", "batch['x'].label[0]"]),
    "plain object": (types.SimpleNamespace(x=A, y=[B]), ["batch.x", "batch.y[0]"]),
    "nothing": ({"x": 3, "y": None, "z": "text"}, []),
}


@pytest.mark.parametrize("name", TREES)
def test_every_tensor_has_its_name(name: str) -> None:
    """Names read like the expression that gets the tensor out."""
    tree, names = TREES[name]
    found = list(named_tensors(tree, "batch"))
    assert [n for n, _ in found] == names
    assert all(t is A or t is B for _, t in found)


@pytest.mark.parametrize("name", TREES)
def test_rebuilt_tree_has_the_same_tensors(name: str) -> None:
    """The same kind of container around the very same tensors."""
    tree, names = TREES[name]
    again = same_tensors(tree)
    assert type(again) is type(tree)
    pairs = list(zip(named_tensors(tree, ""), named_tensors(again, ""), strict=True))
    assert len(pairs) == len(names)
    assert all(first[0] == second[0] and first[1] is second[1] for first, second in pairs)


def test_popping_from_the_rebuilt_tree_leaves_the_first_alone() -> None:
    """Loops pop labels out of their batch; the one that is kept must not notice."""
    tree = {"x": A, "y": [B]}
    again: Any = same_tensors(tree)
    again.pop("x")
    again["y"].clear()
    assert [n for n, _ in named_tensors(tree, "t")] == ["t['x']", "t['y'][0]"]


def test_popping_from_a_rebuilt_mapping_leaves_the_first_alone() -> None:
    """The same for a mapping that is no dict."""
    tree = Encoding(x=A, y=B)
    again: Any = same_tensors(tree)
    again.pop("x")
    assert [n for n, _ in named_tensors(tree, "t")] == ["t['x']", "t['y']"]


def test_changing_a_rebuilt_dataclass_leaves_the_first_alone() -> None:
    """The same for a dataclass whose field is replaced."""
    tree = Example(A, B)
    again: Any = same_tensors(tree)
    again.image = None
    assert [n for n, _ in named_tensors(tree, "t")] == ["t.image", "t.label"]


def test_keys_and_other_values_are_kept() -> None:
    """What is no tensor comes along."""
    again: Any = same_tensors({"n": 3, "s": "text", "none": None, "x": A})
    assert (again["n"], again["s"], again["none"]) == (3, "text", None)
    assert list(again) == ["n", "s", "none", "x"]
