"""Nested containers from their JSON and a file of tensors; see `capsule.trees` for the layout."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenkeel.capsule.refused import CapsuleRefused
from evenkeel.capsule.trees import MAX_DEPTH, Plain, fields_of, is_dense, real
from evenkeel.journal.numbers import number_from_json
from evenkeel.tensors.trees import named_tensors

ABSENT: Any = object()  # what was not stored, where no living example has it
_INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_ARRAYS = frozenset({"bool", "float16", "float32", "float64", "complex64", "complex128", *_INTEGERS})


class Unpacking:
    """Gives nested values back. It makes plain containers, tensors and arrays; never an object of another class.

    With a living example (`like`: what the program's own loader hands out) containers are of the example's classes, by
    copying it, and what was not stored is taken from it. No class is looked up by its name, and no code of one is run.
    """

    def __init__(self, tensors: Mapping[str, Tensor], name: str) -> None:
        """`tensors` are those of the file `name`."""
        self._tensors = tensors
        self._name = name
        self._made: dict[str, object] = {}
        self._makers: dict[str, Callable[[Any, Any, int], object]] = {
            "float": self._float,
            "tensor": self._tensor,
            "sparse": self._sparse,
            "array": self._array,
            "tuple": self._tuple,
            "dict": self._dict,
            "fields": self._fields,
            "inside": self._inside,
            "absent": self._absent,
        }

    def unpack(self, node: Plain, like: object = ABSENT, depth: int = 0) -> Any:
        """The value of a node.

        Raises:
            CapsuleRefused: the node is of no known form, or does not match its tensors.
        """
        if depth > MAX_DEPTH:
            raise self._refused(f"containers are nested more than {MAX_DEPTH} deep")
        if node is None or isinstance(node, bool | int | float | str):
            return node
        if isinstance(node, list):
            return [self.unpack(item, part, depth + 1) for item, part in zip(node, _parts(like, node), strict=True)]
        kinds = [kind for kind in self._makers if kind in node] if isinstance(node, dict) else []
        if len(kinds) != 1:
            raise self._refused(f"a value of no known form: {str(node)[:80]!r}")
        return self._makers[kinds[0]](node, like, depth)

    def _float(self, node: Any, _like: Any, _depth: int) -> float:
        try:
            return float(number_from_json(node["float"]))
        except ValueError as error:
            raise self._refused(str(error)) from error

    def _absent(self, node: Any, like: Any, _depth: int) -> object:
        self._expect(node["absent"], str)
        return like

    def _tuple(self, node: Any, like: Any, depth: int) -> tuple[object, ...]:
        return tuple(self.unpack(self._expect(node["tuple"], list), _as_list(like), depth + 1))

    def _dict(self, node: Any, like: Any, depth: int) -> dict[Any, Any]:
        pairs = self._pairs(node["dict"])
        known = like if isinstance(like, Mapping) else {}
        made = {key: self.unpack(item, known.get(key, ABSENT), depth + 1) for key, item in pairs}
        if type(like) in (dict, type(ABSENT)) or not isinstance(like, dict):
            return made
        ordered = copy.copy(like)  # an OrderedDict, a defaultdict with its factory
        ordered.clear()
        ordered.update(made)
        return ordered

    def _fields(self, node: Any, like: Any, depth: int) -> object:
        pairs = [(self._expect(name, str), item) for name, item in self._pairs(node["fields"])]
        made = {name: self.unpack(item, getattr(like, name, ABSENT), depth + 1) for name, item in pairs}
        names = fields_of(like)
        if names is None or set(names) != set(made):
            return made
        if isinstance(like, tuple):
            return tuple.__new__(type(like), [made[name] for name in names])
        filled = copy.copy(like)
        for name, value in made.items():
            object.__setattr__(filled, name, value)  # frozen ones too
        return filled

    def _inside(self, node: Any, like: Any, depth: int) -> object:
        pairs = [(self._expect(path, str), item) for path, item in self._pairs(node["inside"])]
        living = {} if like is ABSENT else dict(named_tensors(like, ""))
        made = {path: self.unpack(item, living.get(path, ABSENT), depth + 1) for path, item in pairs}
        if like is ABSENT or set(living) != set(made):
            return ABSENT
        return copy.deepcopy(like, {id(living[path]): value for path, value in made.items()})

    def _tensor(self, node: Any, like: Any, _depth: int) -> object:
        key = self._expect(node["tensor"], str)
        if key not in self._made:
            tensor = self._dense(key, node)
            stride = node.get("stride")
            if stride is not None:
                tensor = self._strided(tensor, [self._expect(step, int) for step in self._expect(stride, list)])
            if node.get("requires_grad") is True and (tensor.is_floating_point() or tensor.is_complex()):
                tensor.requires_grad_()
            self._made[key] = tensor
        made: Any = self._made[key]
        return _as_like(made, like) if isinstance(like, Tensor) else made

    def _dense(self, key: str, node: Mapping[str, Any]) -> Tensor:
        if key not in self._tensors:
            raise self._refused(f"there is no tensor {key!r} in it")
        stored = self._tensors[key]
        dtype = getattr(torch, self._expect(node.get("dtype"), str), None)
        shape = [self._expect(size, int) for size in self._expect(node.get("shape"), list)]
        if not isinstance(dtype, torch.dtype):
            raise self._refused(f"{node['dtype']!r} is no dtype")
        is_complex = dtype.is_complex
        expected = [*shape, 2] if is_complex else shape
        parts = torch.empty(0, dtype=dtype).real.dtype if is_complex else dtype
        if list(stored.shape) != expected or stored.dtype != parts:
            is_what = f"{list(stored.shape)} of {stored.dtype}"
            raise self._refused(f"tensor {key!r} is {is_what}; the tree says {shape} of {node['dtype']}")
        return torch.view_as_complex(stored) if is_complex else stored

    def _strided(self, tensor: Tensor, stride: list[int]) -> Tensor:
        if len(stride) != tensor.ndim or min(stride, default=0) < 0 or not is_dense(tensor.shape, stride):
            raise self._refused(f"strides {stride} do not fill the memory of a tensor of shape {list(tensor.shape)}")
        return torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype).copy_(tensor)

    def _sparse(self, node: Any, like: Any, _depth: int) -> Tensor:
        keys = [self._expect(key, str) for key in self._expect(node["sparse"], list)]
        shape = [self._expect(size, int) for size in self._expect(node.get("shape"), list)]
        if len(keys) != 2 or any(key not in self._tensors for key in keys):  # noqa: PLR2004  indices and values
            raise self._refused(f"a sparse tensor has indices and values; {keys} are not both there")
        indices, values = self._tensors[keys[0]], self._tensors[keys[1]]
        if str(node.get("dtype")).startswith("complex") and values.ndim and values.shape[-1] == 2:  # noqa: PLR2004  (re, im)
            values = torch.view_as_complex(values.contiguous())
        try:
            made = torch.sparse_coo_tensor(
                indices, values, shape, check_invariants=True, is_coalesced=bool(node.get("is_coalesced"))
            )
        except (RuntimeError, TypeError, OverflowError) as error:
            raise self._refused(f"{keys} make no sparse tensor of shape {shape}: {error}") from error
        return made.to(like.device) if isinstance(like, Tensor) else made

    def _array(self, node: Any, _like: Any, _depth: int) -> object:
        key, shape = self._expect(node["array"], str), self._expect(node.get("shape"), list)
        name = self._expect(node.get("dtype"), str)
        if key not in self._tensors or name not in _ARRAYS:
            raise self._refused(f"there is no array {key!r} of {name!r} in it")
        stored = self._tensors[key]
        is_complex = np.dtype(name).kind == "c"
        expected = torch.from_numpy(np.zeros((), dtype=name))
        if list(stored.shape) != [*shape, *([2] if is_complex else [])] or stored.dtype != real(expected).dtype:
            raise self._refused(f"array {key!r} is {list(stored.shape)}; the tree says {shape} of {name}")
        array = (torch.view_as_complex(stored) if is_complex else stored).numpy()
        return array[()] if node.get("is_scalar") is True and array.ndim == 0 else array

    def _pairs(self, value: object) -> list[tuple[Any, Any]]:
        pairs = self._expect(value, list)
        if any(not isinstance(pair, list) or len(pair) != 2 or isinstance(pair[0], list | dict) for pair in pairs):  # noqa: PLR2004  key and value
            raise self._refused("entries that are no pairs of a key and a value")
        return [(pair[0], pair[1]) for pair in pairs]

    def _expect(self, value: Any, kind: type) -> Any:
        if isinstance(value, kind) and not isinstance(value, bool):
            return value
        raise self._refused(f"expected {kind.__name__}; got {str(value)[:80]!r}")

    def _refused(self, why: str) -> CapsuleRefused:
        return CapsuleRefused(f"{self._name}: {why}")


def _as_like(made: Tensor, like: Tensor) -> Tensor:
    """On the example's device; of its class, with whatever else it carries."""
    moved = made.to(like.device)
    if type(like) is Tensor or type(moved) is not Tensor:
        return moved
    dressed = moved.as_subclass(type(like))
    dressed.__dict__.update(copy.copy(vars(like)))
    return dressed


def _as_list(like: object) -> object:
    return list(like) if isinstance(like, tuple) else ABSENT


def _parts(like: object, node: list[Any]) -> list[Any]:
    return list(like) if isinstance(like, list) and len(like) == len(node) else [ABSENT] * len(node)
