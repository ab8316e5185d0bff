"""Read the arguments of a dispatched operation: tensors by name, numbers, dimensions."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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


class Slot(NamedTuple):
    """A parameter of an operation's schema."""

    name: str
    default: object = None
    written: bool = False
    overwritten: bool = False
    in_training: bool = False  # written when the operation runs in training mode, which the schema does not say


@dataclass(frozen=True, slots=True)
class Signature:
    """What the schema of an operation says, read once: each parameter by its position."""

    op: str  # "aten._softmax_backward_data.default"
    kind: str  # "softmax_backward_data": without marks of privacy and place
    function: str  # "softmax"
    pointwise: bool
    slots: tuple[Slot, ...]
    tensors: tuple[int, ...]  # positions where tensors may stand
    numbers: tuple[int, ...]
    dim: int | None
    training: int | None


@functools.lru_cache(maxsize=4096)
def signature_of(func: OpOverload) -> Signature:
    """Read the schema of an operation."""
    declared = func._schema.arguments
    names = [a.name for a in declared]
    training = next((i for i, name in enumerate(names) if name in {"training", "train"}), None)
    return Signature(
        op=str(func),
        kind=_raw_name(func).strip("_"),
        function=base_name(func),
        pointwise=torch.Tag.pointwise in func.tags,
        slots=tuple(_slot(func, argument) for argument in declared),
        tensors=tuple(i for i, a in enumerate(declared) if "Tensor" in str(a.type)),
        numbers=tuple(i for i, a in enumerate(declared) if a.name not in _NO_VALUES and str(a.type) in _NUMBERS),
        dim=names.index("dim") if "dim" in names else None,
        training=training,
    )


def tensor_arguments(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[Argument]:
    """Yield every tensor among the arguments, lists unfolded."""
    signature = signature_of(func)
    for position in signature.tensors:
        value = given(signature, position, args, kwargs)
        if value is not None:
            slot = signature.slots[position]
            written = slot.written
            if slot.in_training and signature.training is not None:
                written = given(signature, signature.training, args, kwargs) is True
            for name, tensor in unfolded(value, slot.name):
                yield Argument(name, tensor, written, written and slot.overwritten)


def numbers(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[float, ...]:
    """The Python floats and ints among the arguments that are values, not dimensions or flags."""
    signature = signature_of(func)
    values = [given(signature, position, args, kwargs) for position in signature.numbers]
    return tuple(float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool))


def dimensions(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The `dim` argument as a tuple, or its default; None when the operation has none or it was given as None."""
    signature = signature_of(func)
    if signature.dim is None:
        return None
    value = given(signature, signature.dim, args, kwargs)
    if value is None and signature.dim >= len(args) and "dim" not in kwargs:
        value = signature.slots[signature.dim].default
    if isinstance(value, int):
        return (value,)
    return tuple(int(v) for v in value) if isinstance(value, list | tuple) else None


def given(signature: Signature, position: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> object:
    """The argument for a parameter; None where it was left to its default."""
    return args[position] if position < len(args) else kwargs.get(signature.slots[position].name)


def unfolded(value: object, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield (`name[0][1]`, tensor) for every tensor in an argument or a result; None keeps its place."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, list | tuple):
        for position, part in enumerate(value):
            yield from unfolded(part, f"{name}[{position}]")


def base_name(func: OpOverload) -> str:
    """`aten._foreach_mul_.Tensor` is "mul", `aten._softmax.default` is "softmax"."""
    plain = _raw_name(func).removeprefix("_foreach_").strip("_")
    plain = plain.removesuffix("_backward_data").removesuffix("_backward")
    return _STEMS.get(plain, plain)


def _raw_name(func: OpOverload) -> str:
    return str(func).split(".")[1]


def _slot(func: OpOverload, declared: torch.Argument) -> Slot:
    in_training = declared.name in _UNDECLARED.get(_raw_name(func), ())
    written = declared.alias_info is not None and declared.alias_info.is_write
    overwrites = base_name(func) in _OVERWRITING or declared.kwarg_only  # `out=`
    return Slot(
        name=declared.name,
        default=declared.default_value if declared.has_default_value() else None,
        written=written or writes_into(func, declared.name),
        overwritten=overwrites or replaces(func, declared.name),
        in_training=in_training,
    )
