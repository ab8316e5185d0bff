"""Operations that bring values from other ranks, as a trace has to see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch._ops import OpOverload


def writes_into(func: OpOverload, argument: str) -> bool:
    """Whether a collective writes into the argument of that name, which its schema does not say."""
    return func.namespace == "c10d" and (argument == "tensors" or argument.startswith("output"))


def replaces(func: OpOverload, argument: str) -> bool:
    """Whether it does so without reading it."""
    return func.namespace == "c10d" and argument.startswith("output")


def wait_for(func: OpOverload, result: Any) -> None:
    """Wait until a collective has written its results, so that they can be looked at. For traces only."""
    if func.namespace == "c10d":
        parts = result if isinstance(result, Sequence) else (result,)
        for part in parts:
            if isinstance(part, torch.ScriptObject):  # the handle of the work under way
                part.wait()  # type: ignore[attr-defined]  # a method of the class in C++
    elif func.namespace == "_c10d_functional" and isinstance(result, torch.Tensor):
        torch.ops._c10d_functional.wait_tensor(result)
