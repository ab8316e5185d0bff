"""Name every tensor in nested containers, and rebuild containers without copying tensors."""

from __future__ import annotations

import copy
import dataclasses
import operator
from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor
from torch.utils._pytree import tree_map  # the registry that torch itself and its users extend

_version_of = operator.attrgetter("_version")
_ONLY_TENSORS = {Tensor}  # in a list: what most loaders give


def named_tensors(value: object, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield (`name[0].x`, tensor) for every tensor in lists, tuples, mappings, dataclasses and plain objects."""
    if isinstance(value, Tensor):
        yield name, value
        return
    for step, part in _parts(value):
        yield from named_tensors(part, name + step)


def _parts(value: object) -> Iterable[tuple[str, object]]:
    """What a container holds, each with the step that leads to it; nothing for anything else."""
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(f".{field}", part) for field, part in zip(value._fields, value, strict=True)]
    if isinstance(value, list | tuple):
        return [(f"[{position}]", part) for position, part in enumerate(value)]
    if isinstance(value, type):
        return []
    if dataclasses.is_dataclass(value):
        return [(f".{field.name}", getattr(value, field.name, None)) for field in dataclasses.fields(value)]
    held = vars(value).items() if hasattr(value, "__dict__") else []
    # No objects in objects: they may go in circles.
    return [(f".{key}", part) for key, part in held if isinstance(part, Tensor | Mapping | list | tuple)]


def versions_in(value: object) -> tuple[int, ...]:
    """How often each tensor in nested containers was written to, in a fixed order."""
    if type(value) is list and set(map(type, value)) == _ONLY_TENSORS:
        return tuple(map(_version_of, value))
    return tuple(t._version for _, t in named_tensors(value, ""))


def same_tensors(value: object) -> object:
    """Rebuild the containers around the same tensors, so that a consumer may pop and replace entries freely."""
    if type(value) is list and set(map(type, value)) == _ONLY_TENSORS:
        return list(value)
    return tree_map(_itself, value)


def _itself(leaf: object) -> object:
    """What torch's registry does not know: containers are copied one level deep, anything else stays itself."""
    opened = isinstance(leaf, Mapping) or (dataclasses.is_dataclass(leaf) and not isinstance(leaf, type))
    return copy.copy(leaf) if opened else leaf
