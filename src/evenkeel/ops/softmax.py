"""Softmax and its relatives over the open part of a row, also where nothing is open."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from evenkeel.ops.precision import widened


def softmax(x: Tensor, mask: Tensor | None = None, dim: int = -1) -> Tensor:
    """exp(x) / Σ exp(x) over the open elements of a row; 0 for closed ones, and for all of a row that has none open.

    Shape: that of x; `mask` is boolean and broadcasts to x: True takes part (as in scaled_dot_product_attention).
    Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: -inf is closed too. A row with inf or nan among its open elements is nan. Values under a closed mask are not
    looked at: nan may stand there. IndexError where the row has no elements.
    Gradient: p·(g - Σ p·g); 0 for closed elements and in rows without an open one, where torch has nan (pytorch#41508).
    Error: 5 ulp, times 1 + d/2 at a distance d below the maximum, as of torch's own: the difference x - max is rounded.
    Cost: keeps the result for backward, as torch does; two more tensors of that size pass by (three with a mask).
    """
    return _Softmax.apply(_opened(x, mask), dim)  # type: ignore[no-any-return, no-untyped-call]


def log_softmax(x: Tensor, mask: Tensor | None = None, dim: int = -1) -> Tensor:
    """log(softmax(x)) over the open elements of a row; -inf for closed ones, and for all of a row that has none open.

    Accurate also for the outcome that is nearly certain, where torch's own rounds to 0: the sum is taken without the
    largest term, and log1p adds that.

    Shape: that of x; `mask` is boolean and broadcasts to x: True takes part.
    Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: as `softmax`. Nothing is finite in a row that has no open element: the log of 0 is what it is; take what you
    need by `where` or by index, as a product 0·(-inf) is nan.
    Gradient: g - p·Σ g over the open elements; 0 for closed ones, whatever comes in there. As in torch, p is taken from
    the result: in float16 and bfloat16 it has the rounding of log p, so widen the logits where that counts.
    Error: 3 ulp; at the maximum, times 1 + d/2, with d the distance to the next: x - max is rounded.
    Cost: keeps the result for backward, as torch does; three more tensors of that size pass by (four with a mask).
    """
    return _LogSoftmax.apply(_opened(x, mask), dim)  # type: ignore[no-any-return, no-untyped-call]


def logsumexp(x: Tensor, mask: Tensor | None = None, dim: int = -1, *, keepdim: bool = False) -> Tensor:
    """The logarithm of Σ exp(x) over the open elements of a row; -inf where none is open.

    Shape: (*, n, *) to (*, *), or to (*, 1, *) with keepdim; `mask` is boolean and broadcasts to x: True takes part.
    Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: -inf is closed too. inf where an open element is inf; nan where one is nan. IndexError where the row has no
    elements.
    Gradient: g·softmax(x, mask): 0 for closed elements and in rows without an open one, where `torch.logsumexp` has
    nan; nan where the result is inf.
    Error: 4 ulp of the larger one of |max| and the result (the two parts cancel where Σ exp(x) is near 1).
    Cost: keeps `x` for backward (with a mask, a copy), and computes the softmax again there.
    """
    result: Tensor = _LogSumExp.apply(_opened(x, mask), dim)  # type: ignore[no-untyped-call]
    return result if keepdim else result.squeeze(dim)


def grouped_softmax(x: Tensor, group: Tensor, num_groups: int, dim: int = 0) -> Tensor:
    """The softmax within each group of elements, as over the edges that enter each node of a graph.

    Shape: that of x; `group` has one integer in [0, num_groups) for each place along `dim`. Groups may be empty.
    Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 for -inf, and for all of a group that has only -inf; a group with inf or nan is nan, other groups are not.
    Gradient: p·(g - Σ p·g) within the group; 0 for elements of -inf.
    Error: 5 ulp, times 1 + d/2 at a distance d below the group's maximum; the sum of large groups comes on top.
    Raises: what torch raises for indices out of range.
    Cost: three tensors as large as x for backward. The order of a sum on CUDA is not fixed, as in `index_add`.
    """
    wide = widened(x)
    places = group.view([-1 if d == dim % x.dim() else 1 for d in range(x.dim())]).expand_as(x)
    shape = [num_groups if d == dim % x.dim() else n for d, n in enumerate(x.shape)]
    top = wide.new_full(shape, -math.inf).scatter_reduce(dim, places, wide.detach(), "amax")
    top = torch.where(top == -math.inf, 0.0, top)
    weights = torch.exp(wide - top.gather(dim, places))
    total = wide.new_zeros(shape).scatter_add(dim, places, weights)
    return (weights / torch.where(total == 0, 1.0, total).gather(dim, places)).to(x.dtype)


def _opened(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x.masked_fill(~mask, -math.inf)


def _below_maximum(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The distances x - max (x itself in a row of -inf), and the maximum."""
    top = x.amax(dim, keepdim=True)
    return x - torch.where(top == -math.inf, 0.0, top), top


def _log_of_sum(below: Tensor, dim: int) -> Tensor:
    """The logarithm of Σ exp(below), the largest of which is 0; 0 in a row of -inf.

    The weights are 1 at the maximum, and less below it: their fractional parts add up without it.
    """
    weights = torch.exp(below)  # exp(0) is 1, on every device
    rest = weights.frac().sum(dim, keepdim=True)
    others_of_weight_one = (weights.floor().sum(dim, keepdim=True) - 1).clamp(min=0)
    return torch.log1p(rest + others_of_weight_one)


class _Softmax(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, dim: int) -> Tensor:
        below, _ = _below_maximum(widened(x), dim)
        weights = torch.exp(below)
        total = weights.sum(dim, keepdim=True)
        return (weights / torch.where(total == 0, 1.0, total)).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.dim = inputs[1]
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        p = widened(ctx.saved_tensors[0])
        g = widened(grad)
        return (p * (g - (p * g).sum(ctx.dim, keepdim=True))).to(grad.dtype), None


class _LogSoftmax(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, dim: int) -> Tensor:
        below, _ = _below_maximum(widened(x), dim)
        return (below - _log_of_sum(below, dim)).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.dim = inputs[1]
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        log_p = widened(ctx.saved_tensors[0])
        g = torch.where(log_p == -math.inf, 0.0, widened(grad))  # closed elements are constant
        return (g - torch.exp(log_p) * g.sum(ctx.dim, keepdim=True)).to(grad.dtype), None


class _LogSumExp(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, dim: int) -> Tensor:
        below, top = _below_maximum(widened(x), dim)
        # inf - inf is nan, but the sum of a row with inf is inf
        return torch.where(top == math.inf, top, top + _log_of_sum(below, dim)).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
        ctx.dim = inputs[1]
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return (widened(grad) * softmax(widened(x), None, ctx.dim)).to(grad.dtype), None
