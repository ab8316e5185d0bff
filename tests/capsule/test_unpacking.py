"""A tree that contradicts its tensors, or is none, is refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evenkeel.capsule.refused import CapsuleRefused
from evenkeel.capsule.unpacking import Unpacking

TENSORS = {"0": torch.ones(2, 3), "1": torch.zeros(2, dtype=torch.int64)}
F32: dict[str, Any] = {"tensor": "0", "dtype": "float32", "shape": [2, 3]}


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    node: list[Any] = []
    for _ in range(depth):
        node = [node]
    return node


BAD: list[tuple[Any, str]] = [
    (nested(60), "nested more than 40 deep"),
    ({}, "a value of no known form"),
    ({"tuple": [], "dict": []}, "a value of no known form"),
    ({"tuple": 3}, "expected list; got '3'"),
    ({"dict": [[1, 2, 3]]}, "no pairs"),
    ({"dict": [[[], 1]]}, "no pairs"),
    ({"float": "many"}, "expected a number"),
    ({**F32, "tensor": "7"}, "there is no tensor '7'"),
    ({**F32, "shape": [3, 2]}, r"tensor '0' is \[2, 3\] of torch.float32; the tree says \[3, 2\] of float32"),
    ({**F32, "dtype": "float64"}, "the tree says"),
    ({**F32, "dtype": "complex64"}, "the tree says"),
    ({**F32, "dtype": "load"}, "'load' is no dtype"),
    ({**F32, "stride": [0, 1]}, "do not fill the memory"),
    ({**F32, "stride": [1 << 62, 1]}, "do not fill the memory"),
    ({**F32, "stride": [1]}, "do not fill the memory"),
    ({"sparse": ["1"], "shape": [2], "dtype": "float32"}, "indices and values"),
    ({"sparse": ["1", "0"], "shape": [2], "dtype": "float32"}, "make no sparse tensor"),
    ({"array": "0", "dtype": "float64", "shape": [2, 3]}, "the tree says"),
    ({"array": "0", "dtype": "object", "shape": [2, 3]}, "there is no array"),
]


@pytest.mark.parametrize(("node", "words"), BAD, ids=[str(node)[:50] for node, _ in BAD])
def test_what_cannot_be_meant_is_refused(node: object, words: str) -> None:
    """With the file that it is about."""
    with pytest.raises(CapsuleRefused, match=words) as refused:
        Unpacking(TENSORS, "batches.safetensors").unpack(node)
    assert str(refused.value).startswith("batches.safetensors: ")


def test_what_can_be_meant_is_not() -> None:
    """The near misses."""
    unpacking = Unpacking(TENSORS, "file")
    assert unpacking.unpack(nested(40)) == nested(40)
    assert unpacking.unpack({**F32, "stride": [1, 2]}).stride() == (1, 2)
    assert Unpacking(TENSORS, "file").unpack(F32).equal(TENSORS["0"])
