"""Nested containers as JSON, their tensors beside them in a file; and back, by the example of a living one.

A scalar, a list and None stand for themselves; everything else is an object with one telling key:

    {"float": "nan"}                        a number that JSON has no word for
    {"tensor": key, "dtype": …, "shape": …} also "stride", "device", "requires_grad"
    {"array": key, "dtype": …, "shape": …}  of NumPy; "is_scalar"
    {"sparse": [key of indices, key of values], "shape": …, "is_coalesced": …}
    {"tuple": […]}  {"dict": [[key, …], …]}
    {"fields": [[name, …], …]}              a named tuple or a dataclass
    {"inside": [[path, …], …]}              an object of another class: the tensors in it, by their path
    {"absent": class, "why": …}             not stored
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _python_dispatch  # the registry that torch itself asks

from evenkeel.capsule.formats import CODES
from evenkeel.capsule.manifest import Missing
from evenkeel.journal.numbers import number_to_json
from evenkeel.tensors.trees import named_tensors

Plain = Any  # a JSON value
MAX_DEPTH = 40  # of containers in containers

_NO_CLASS_OF_OURS = (
    "only plain values, containers, arrays and tensors are stored, never objects that need code to be made"
)


class Packing:
    """Tensors on their way into one file, each once, and what could not be packed."""

    def __init__(self) -> None:
        """Begin with none."""
        self.tensors: dict[str, Tensor] = {}
        self.missing: list[Missing] = []
        self._known: dict[int, tuple[object, Plain]] = {}  # by id(); what has one has to stay alive

    def pack(self, value: object, at: str, depth: int = 0) -> Plain:
        """Nested containers as JSON; `at` is what the value is called, `depth` how many containers it lies in.

        Two places that hold the same tensor hold it again after `thaw`. Views of one memory become copies.
        """
        if isinstance(value, Tensor | np.ndarray | np.generic):
            return self._once(value, at)
        if value is None or type(value) in (bool, int, str, float):
            return _scalar(value)
        if depth == MAX_DEPTH:
            return self.absent(value, at, f"containers are nested more than {MAX_DEPTH} deep, or go in a circle")
        packed = self._container(value, at, depth + 1)
        return self._object(value, at) if packed is None else packed

    def _container(self, value: Any, at: str, depth: int) -> Plain:
        """None where it is no container whose class is known to every reader."""
        if type(value) is list:
            return [self.pack(item, f"{at}[{i}]", depth) for i, item in enumerate(value)]
        if type(value) is tuple:
            return {"tuple": [self.pack(item, f"{at}[{i}]", depth) for i, item in enumerate(value)]}
        if type(value) in (dict, OrderedDict, defaultdict) and all(map(_is_key, value)):
            return {"dict": [[key, self.pack(item, f"{at}[{key!r}]", depth)] for key, item in value.items()]}
        fields = fields_of(value)
        if fields is None:
            return None
        return {"fields": [[name, self.pack(getattr(value, name), f"{at}.{name}", depth)] for name in fields]}

    def absent(self, value: object, at: str, why: str) -> Plain:
        """Name what is not stored."""
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        self.missing.append(Missing(what=f"{at} ({kind})", why=why))
        return {"absent": kind, "why": why}

    def put(self, tensor: Tensor) -> str:
        """The key under which a dense real tensor will lie in the file."""
        key = str(len(self.tensors))
        self.tensors[key] = tensor
        return key

    def _once(self, value: Tensor | np.ndarray[Any, Any] | np.generic, at: str) -> Plain:
        known = self._known.get(id(value))
        if known is None:
            packed = self._tensor(value, at) if isinstance(value, Tensor) else self._array(value, at)
            known = self._known[id(value)] = (value, packed)
        return known[1]

    def _tensor(self, tensor: Tensor, at: str) -> Plain:
        why = why_not_storable(tensor)
        if why:
            return self.absent(tensor, at, why)
        plain = tensor.detach()
        described: dict[str, Plain] = {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "device": str(tensor.device),
        }
        if tensor.layout == torch.sparse_coo:
            keys = [self.put(plain._indices()), self.put(real(plain._values()))]  # of one that need not be coalesced
            return {"sparse": keys, **described, "is_coalesced": plain.is_coalesced()}
        plain = plain.as_subclass(Tensor)
        if not plain.is_contiguous() and is_dense(plain.shape, plain.stride()):
            described["stride"] = list(plain.stride())
        if tensor.requires_grad and tensor.is_leaf:
            described["requires_grad"] = True
        return {"tensor": self.put(real(plain)), **described}

    def _array(self, array: np.ndarray[Any, Any] | np.generic, at: str) -> Plain:
        values = np.asarray(array)
        if values.dtype.kind not in "biufc" or values.dtype.itemsize > 16 or values.dtype == np.longdouble:  # noqa: PLR2004  complex128
            return self.absent(array, at, f"arrays of {values.dtype} are not stored; numbers and truth values are")
        native = values.astype(values.dtype.newbyteorder("="), order="C", copy=True)
        key = self.put(real(torch.from_numpy(native.reshape(values.shape))))
        return {
            "array": key,
            "dtype": native.dtype.name,
            "shape": list(values.shape),
            "is_scalar": isinstance(array, np.generic),
        }

    def _object(self, value: object, at: str) -> Plain:
        held = list(named_tensors(value, ""))
        if not held or isinstance(value, Tensor):
            return self.absent(value, at, _NO_CLASS_OF_OURS)
        self.missing.append(
            Missing(
                what=f"{at} ({type(value).__module__}.{type(value).__qualname__}), all but its tensors",
                why=f"{_NO_CLASS_OF_OURS}; a replay takes the rest from the program's own batch",
            )
        )
        return {"inside": [[path, self._once(tensor, f"{at}{path}")] for path, tensor in held]}


def fields_of(value: object) -> tuple[str, ...] | None:
    """The fields of a named tuple or of a dataclass; None for anything else."""
    if isinstance(value, tuple) and isinstance(getattr(value, "_fields", None), tuple):
        names: tuple[str, ...] = value._fields  # type: ignore[attr-defined]
        return names
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(field.name for field in dataclasses.fields(value) if hasattr(value, field.name))
    return None


def why_not_storable(tensor: Tensor) -> str:
    """Why a tensor cannot be stored; "" when it can."""
    if hasattr(tensor, "to_local"):
        return "a tensor that is spread over several ranks; this rank's part alone would not be the tensor"
    is_wrapper: bool = _python_dispatch.is_traceable_wrapper_subclass(tensor)
    if is_wrapper:
        return "a tensor of a class that keeps its values in other tensors"
    if tensor.is_meta or getattr(tensor, "is_nested", False) or tensor.is_quantized:
        return "a tensor without plain values in memory"
    if tensor.layout not in (torch.strided, torch.sparse_coo):
        return f"the layout {tensor.layout} is not stored; strided and sparse_coo are"
    if not tensor.is_complex() and tensor.dtype not in CODES:
        return f"the dtype {tensor.dtype} is not stored; safetensors has no word for it"
    return ""


def real(tensor: Tensor) -> Tensor:
    """A complex tensor as (re, im) in a last dimension of 2; any other is itself."""
    return torch.view_as_real(tensor.resolve_conj().resolve_neg()) if tensor.is_complex() else tensor


def is_dense(shape: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether the elements fill their memory without gaps or overlap, in whatever order of the dimensions."""
    expected = 1
    for step, size in sorted(zip(stride, shape, strict=True)):
        if size != 1 and step != expected:
            return False
        expected *= size
    return True


def _scalar(value: Any) -> Plain:
    written = number_to_json(value) if isinstance(value, float) else value
    return {"float": written} if isinstance(value, float) and isinstance(written, str) else written


def _is_key(key: object) -> bool:
    return key is None or type(key) in (bool, int, str)
