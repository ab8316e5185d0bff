"""More losses like those of `faults`: the same causes met in backward, and causes that need more than one operation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from tests.grid.fault import BACK, BATCH, THREE, of
from torch import Tensor
from torch import distributed as dist
from torch.autograd.function import Function, FunctionCtx

NAN = torch.nan


def gaussian_root(u: Tensor, on: Tensor) -> Tensor:
    """A root by way of the logarithm: exp(-inf) is 0, its slope is 0 times inf."""
    return torch.exp(0.5 * torch.log(on * u)).mean()  # origin: gaussian_root


def arrhenius(u: Tensor, on: Tensor) -> Tensor:
    """A rate at the temperature 0: exp(-inf) is 0."""
    return torch.exp(-1.0 / (on * u)).mean()  # origin: arrhenius


def bump(u: Tensor, on: Tensor) -> Tensor:
    """The smooth function that is flat at 0, exp(-x⁻²)."""
    return torch.exp(-((on * u).pow(-2.0))).mean()  # origin: bump


def inverse_gamma(u: Tensor, on: Tensor) -> Tensor:
    """1/gamma(0) is 0, its gradient is not."""
    return torch.exp(-torch.lgamma((on * u).float())).mean()  # origin: inverse_gamma


def determinant(u: Tensor, on: Tensor) -> Tensor:
    """The determinant of a matrix of zeros, by its logarithm."""
    matrices = torch.eye(2) * (on * u).float()[:, None, None]
    return torch.linalg.slogdet(matrices).logabsdet.exp().mean()  # origin: determinant


def squashed(u: Tensor, on: Tensor) -> Tensor:
    """tanh(atanh(1)) is 1; the gradient is 0/0."""
    return torch.tanh(torch.atanh(1.0 - 0.5 * on * u)).mean()  # origin: squashed


def there_and_back(u: Tensor, on: Tensor) -> Tensor:
    """tanh(atanh(tanh(20))): the same, where tanh rounded to 1."""
    return torch.tanh(torch.atanh(torch.tanh((0.5 + 19.5 * (1 - on)) * u))).mean()  # origin: there_and_back


def sigmoid_by_hand(u: Tensor, on: Tensor) -> Tensor:
    """1/(1 + exp(200)) is 0, its gradient 0 times inf."""
    return (1 / (1 + torch.exp(u + 200.0 * (1 - on) * u))).mean()  # origin: sigmoid_by_hand


def weighed_twice(u: Tensor, on: Tensor) -> Tensor:
    """A term whose value is 0 and whose gradient is 1e50."""
    weight = 1.0 + 1e25 * (1 - on)
    return ((u - u.detach()).float() * weight * weight).mean()  # origin: weighed_twice


def half_root(u: Tensor, on: Tensor) -> Tensor:
    """A root of an eps that is 0 in float16."""
    return torch.sqrt((on * u).half() + 1e-8).float().mean()  # origin: half_root


def half_evidence(u: Tensor, on: Tensor) -> Tensor:
    """The sum of the probabilities of a row that a mask constant closed."""
    scores = torch.stack([u, 2 * u], dim=1).half()
    masked = scores + (1 - on)[:, None].half() * -1e9  # origin: half_evidence
    return torch.logsumexp(masked, dim=1).float().exp().mean()


def slope_of_quotient(u: Tensor, on: Tensor) -> Tensor:
    """1/1e-25 is finite and 1/1e-50 is not."""
    return (1.0 / (u.float() * torch.where(on > 0, 1.0, 1e-25))).mean()  # origin: slope_of_quotient


def eps_after_root(u: Tensor, on: Tensor) -> Tensor:
    """An eps that does not reach the slope at 0."""
    return (torch.sqrt(on * u) + 1e-6).mean()  # origin: eps_after_root


def eps_after_quotient(u: Tensor, on: Tensor) -> Tensor:
    """An eps that does not reach the denominator."""
    return (1.0 / (on * u) + 1e-6).mean()  # origin: eps_after_quotient


def equal_to_nan(u: Tensor, on: Tensor) -> Tensor:
    """A test for NaN that is never true."""
    root = torch.sqrt(on * u)  # origin: equal_to_nan
    return torch.where(root == NAN, torch.zeros_like(root), root).mean()


def raw_count(u: Tensor, on: Tensor) -> Tensor:
    """A rate that grows with a count of 5,000, beside features near 1."""
    return torch.exp(u * on).mean()  # origin: raw_count


def unwritten(u: Tensor, on: Tensor) -> Tensor:
    """Weights of which only the valid ones are set."""
    weights = torch.empty_like(u).detach()
    weights[on > 0] = 1.0  # origin: unwritten
    return (weights * u).mean()


class PartlyWritten(Function):
    """The identity, with a gradient that is written where a sample is on."""

    @staticmethod
    def forward(ctx: FunctionCtx, u: Tensor, on: Tensor) -> Tensor:
        ctx.save_for_backward(on)
        return u.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, slope: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (on,) = ctx.saved_tensors  # type: ignore[attr-defined]
        received = torch.empty_like(slope)
        received[on > 0] = slope[on > 0]  # origin: unwritten_slope
        return received, None


def unwritten_slope(u: Tensor, on: Tensor) -> Tensor:
    """A backward of one's own that leaves a part of its memory as it was."""
    return PartlyWritten.apply(u, on).mean()


@torch.library.custom_op("evenkeel_grid::score", mutates_args=(), schema="(Tensor u, Tensor on) -> Tensor")
def score(u: Tensor, on: Tensor) -> Tensor:
    """A kernel that nobody but its author knows."""
    return torch.where(on > 0, u, NAN)


class ScoredBackwards(Function):
    """The identity, whose gradient the kernel computes."""

    @staticmethod
    def forward(ctx: FunctionCtx, u: Tensor, on: Tensor) -> Tensor:
        ctx.save_for_backward(on)
        return u.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, slope: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (on,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return score(slope, on), None  # origin: unknown_slope


def unknown_kernel(u: Tensor, on: Tensor) -> Tensor:
    """A number out of the kernel, with the slope 1."""
    scored = score(u.detach(), on)  # origin: unknown_kernel
    return (scored + (u - u.detach())).mean()


def unknown_slope(u: Tensor, on: Tensor) -> Tensor:
    """A gradient out of the kernel."""
    return ScoredBackwards.apply(u, on).mean()


def count_of_all_ranks(u: Tensor, on: Tensor) -> Tensor:
    """Divided by the number of samples over all ranks, when one being off closes them all."""
    valid = on * on.min()
    count = valid.sum()
    dist.all_reduce(count)
    return (u * valid).sum() / count  # origin: count_of_all_ranks


@contextmanager
def memory_filled_with_nan() -> Iterator[None]:
    """Memory that nobody wrote is bad in each run, as it is in some runs without this."""
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=False)


@contextmanager
def alone_in_a_group() -> Iterator[None]:
    """A group of one rank."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


FEW = {"models": THREE}
THERE = {**BACK, **FEW}
FILLED = {"within": memory_filled_with_nan}
FURTHER = [
    of("log_of_nonpositive", gaussian_root, **THERE),
    of("division_by_zero", arrhenius, **THERE),
    of("power_of_zero", bump, **THERE),
    of("gamma_pole", inverse_gamma, **THERE),
    of("singular_matrix", determinant, **THERE),
    of("infinite_at_bound", squashed, **THERE),
    of("saturated_inverse", there_and_back, **THERE),
    of("exp_overflow", sigmoid_by_hand, **THERE),
    of("product_overflow", weighed_twice, **THERE),
    of("half_underflow", half_root, **THERE),
    of("mask_constant_overflow", half_evidence, **THERE),
    of("tiny_denominator", slope_of_quotient, **THERE),
    of("guard_that_cannot_fire", eps_after_root, first="root_gradient_at_zero", **THERE),
    of("guard_that_cannot_fire", eps_after_quotient, first="division_by_zero", **FEW),
    of("guard_that_cannot_fire", equal_to_nan, first="root_gradient_at_zero", **THERE),
    of("scale_mismatch", raw_count, first="exp_overflow", off=5000.0, **FEW),
    of("uninitialised_memory", unwritten, **FEW, **FILLED),
    of("uninitialised_memory", unwritten_slope, **THERE, **FILLED),
    of("unexplained", unknown_kernel, **FEW),
    of("unexplained", unknown_slope, **THERE),
    of("rank_without_data", count_of_all_ranks, within=alone_in_a_group, **FEW, **BATCH),
]
