"""Name every tensor in nested containers, and rebuild containers without copying tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from torch import Tensor
from torch.utils._pytree import tree_map  # the registry that torch itself and its users extend


def named_tensors(value: object, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield (`name[0].x`, tensor) for every tensor in lists, tuples, mappings, dataclasses and plain objects."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from named_tensors(part, f"{name}[{key!r}]")
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for field, part in zip(value._fields, value, strict=True):
            yield from named_tensors(part, f"{name}.{field}")
    elif isinstance(value, list | tuple):
        for position, part in enumerate(value):
            yield from named_tensors(part, f"{name}[{position}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field_ in dataclasses.fields(value):
            yield from named_tensors(getattr(value, field_.name, None), f"{name}.{field_.name}")


def same_tensors(value: object) -> object:
    """Rebuild the containers around the same tensors, so that a consumer may pop and replace entries freely."""
    return tree_map(_itself, value)


def _itself(leaf: object) -> object:
    return leaf
