"""Functions of single elements that come with their own exact slopes, and save nothing but their inputs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from evenkeel.ops.precision import widened

Formula = Callable[..., Tensor]


def times(grad: Tensor, slope: Tensor) -> Tensor:
    """The chain rule."""
    return grad * slope


def unless_unused(grad: Tensor, slope: Tensor) -> Tensor:
    """The chain rule for functions with poles: 0 comes out where 0 comes in, also where the slope is infinite or nan.

    So a branch that `where` did not select stays silent (pytorch#108618), although 0·inf is nan. The slope is left as
    it is wherever it is finite: Hessians at a minimum, where no gradient comes in, need it.
    """
    unused = (grad == 0) & ~(slope.abs() < math.inf)
    return grad * torch.where(unused, 0.0, slope)


def elementwise(
    value: Formula, slopes: tuple[Formula, ...], *tensors: Tensor, through: Callable[[Tensor, Tensor], Tensor] = times
) -> Tensor:
    """The function value(*tensors), differentiated by one formula for each tensor.

    Both compute in float32 for float16 and bfloat16, and round once. The slopes are made of torch operations, so that
    they can be differentiated again.

    Args:
        value: the function, of as many tensors as there are slopes.
        slopes: its partial derivatives, each of all the tensors; asked only for the tensors that need a gradient.
        tensors: broadcast against one another and promoted to the widest dtype among them.
        through: how a gradient passes through a slope: `times`, or `unless_unused` for functions with poles.

    Cost: the inputs stay alive for backward, and nothing else does. No host sync. Forward-mode differentiation (`jvp`,
    `jacfwd`) is not offered: a function that has it cannot be compiled.
    """
    if len(tensors) > 1:
        dtype = functools.reduce(torch.promote_types, [t.dtype for t in tensors])
        tensors = tuple(t.to(dtype) for t in torch.broadcast_tensors(*tensors))  # type: ignore[no-untyped-call]
    result: Tensor = _Elementwise.apply(value, slopes, through, *tensors)  # type: ignore[no-untyped-call]
    return result


class _Elementwise(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(value: Formula, _slopes: tuple[Formula, ...], _through: Formula, *tensors: Tensor) -> Tensor:
        return value(*map(widened, tensors)).to(tensors[0].dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
        ctx.slopes, ctx.through = inputs[1:3]
        ctx.save_for_backward(*inputs[3:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tensors = [widened(t) for t in ctx.saved_tensors]
        wide = widened(grad)
        passed = [
            ctx.through(wide, slope(*tensors)).to(grad.dtype) if needed else None
            for slope, needed in zip(ctx.slopes, ctx.needs_input_grad[3:], strict=True)
        ]
        return None, None, None, *passed
