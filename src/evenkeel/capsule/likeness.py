"""Whether a stored batch is of the same kind as a living one; see `capsule.trees` for the layout of what is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from evenkeel.capsule.trees import Plain, fields_of
from evenkeel.tensors.trees import named_tensors


def fits(node: Plain, like: object) -> bool:
    """Whether containers, names, dtypes and numbers of dimensions are the same.

    Sizes may differ: the last batch of an epoch is shorter.
    """
    if isinstance(node, list):
        return isinstance(like, list) and _all_fit(dict(enumerate(node)), dict(enumerate(like)))
    if not isinstance(node, dict):
        return not isinstance(like, Tensor | list | tuple | dict)
    return next((rule(node, like) for kind, rule in _RULES.items() if kind in node), False)


def _tensor(node: Plain, like: object) -> bool:
    is_alike = isinstance(like, Tensor) and str(like.dtype) == f"torch.{node['dtype']}"
    return is_alike and isinstance(like, Tensor) and like.ndim == len(node["shape"])


def _array(node: Plain, like: object) -> bool:
    is_alike = isinstance(like, np.ndarray | np.generic) and like.dtype.name == node["dtype"]
    return is_alike and isinstance(like, np.ndarray | np.generic) and like.ndim == len(node["shape"])


def _tuple(node: Plain, like: object) -> bool:
    return type(like) is tuple and _all_fit(dict(enumerate(node["tuple"])), dict(enumerate(like)))


def _dict(node: Plain, like: object) -> bool:
    return isinstance(like, dict) and _all_fit(dict(node["dict"]), like)


def _fields(node: Plain, like: object) -> bool:
    return _all_fit(dict(node["fields"]), {name: getattr(like, name) for name in fields_of(like) or ()})


def _inside(node: Plain, like: object) -> bool:
    return _all_fit(dict(node["inside"]), dict(named_tensors(like, "")))


def _anything(_node: Plain, _like: object) -> bool:
    return True


def _all_fit(nodes: Mapping[Any, Plain], parts: Mapping[Any, object]) -> bool:
    return nodes.keys() == parts.keys() and all(fits(node, parts[key]) for key, node in nodes.items())


_RULES: dict[str, Callable[[Plain, object], bool]] = {
    "float": lambda _node, like: isinstance(like, float),
    "tensor": _tensor,
    "sparse": _tensor,
    "array": _array,
    "tuple": _tuple,
    "dict": _dict,
    "fields": _fields,
    "inside": _inside,
    "absent": _anything,
}
