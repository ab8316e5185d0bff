"""Read the arguments of a dispatched operation: tensors by name, numbers, dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload

from evenkeel.locate.collectives import replaces, writes_into

# Operations that write into arguments which their schema does not declare as written.
_UNDECLARED = {
    "native_batch_norm": ("running_mean", "running_var"),
    "cudnn_batch_norm": ("running_mean", "running_var"),
    "miopen_batch_norm": ("running_mean", "running_var"),
}
_NO_VALUES = {"dim", "dtype", "layout", "correction", "reduction", "alpha"}
_NUMBERS = {"number", "float", "Optional[number]", "Optional[float]", "Tensor"}  # x / 2.0 passes 2.0 for a Tensor
# Operations that replace what they write into, so that its old content is not read.
_OVERWRITING = {"copy", "fill", "zero", "normal", "uniform", "bernoulli", "exponential", "random", "log_normal"}
_STEMS = {
    "linalg_vector_norm": "norm",
    "nll_loss_forward": "nll_loss",
    "nll_loss2d_forward": "nll_loss",
    "native_batch_norm": "batch_norm",
    "native_layer_norm": "layer_norm",
    "native_group_norm": "group_norm",
    "linalg_svd": "svd",
    "linalg_eigh": "eigh",
    "cdist_forward": "cdist",
    "ctc_loss": "ctc_loss",
}


class Argument(NamedTuple):
    """A tensor argument."""

    name: str  # of the schema; "self[2]" inside a list
    tensor: Tensor
    written: bool
    overwritten: bool = False  # written without being read: the old content, or garbage, reaches nothing


def tensor_arguments(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[Argument]:
    """Yield every tensor among the arguments, lists unfolded."""
    undeclared = _UNDECLARED.get(str(func).split(".")[1], ()) if _training(func, args, kwargs) else ()
    for declared, value in _bound(func, args, kwargs):
        alias = declared.alias_info
        written = (alias is not None and alias.is_write) or declared.name in undeclared
        written = written or writes_into(func, declared.name)
        overwrites = base_name(func) in _OVERWRITING or declared.kwarg_only  # `out=`
        overwrites = overwrites or replaces(func, declared.name)
        if isinstance(value, Tensor):
            yield Argument(declared.name, value, written, written and overwrites)
        elif isinstance(value, list | tuple):
            for position, part in enumerate(value):
                if isinstance(part, Tensor):
                    yield Argument(f"{declared.name}[{position}]", part, written, written and overwrites)


def numbers(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[float, ...]:
    """The Python floats and ints among the arguments that are values, not dimensions or flags."""
    found: list[float] = []
    for declared, value in _bound(func, args, kwargs):
        if isinstance(value, bool) or declared.name in _NO_VALUES:
            continue
        if isinstance(value, int | float) and str(declared.type) in _NUMBERS:
            found.append(float(value))
    return tuple(found)


def dimensions(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The `dim` argument as a tuple; None when the operation has none or it was not given."""
    for declared, value in _bound(func, args, kwargs):
        if declared.name == "dim":
            if isinstance(value, int):
                return (value,)
            return tuple(value) if value is not None else None
    return None


def base_name(func: OpOverload) -> str:
    """`aten._foreach_mul_.Tensor` is "mul", `aten._softmax.default` is "softmax"."""
    raw = str(func).split(".")[1]
    plain = raw.removeprefix("_foreach_").strip("_")
    plain = plain.removesuffix("_backward_data").removesuffix("_backward")
    return _STEMS.get(plain, plain)


def _training(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    return any(d.name in {"training", "train"} and value is True for d, value in _bound(func, args, kwargs))


def _bound(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[tuple[torch.Argument, Any]]:
    declared = func._schema.arguments
    yield from zip(declared, args, strict=False)  # trailing arguments may be left to their defaults
    for argument in declared[len(args) :]:
        if argument.name in kwargs:
            yield argument, kwargs[argument.name]
