"""Functions of symmetric matrices that stay differentiable where eigenvalues meet.

Losses on singular vectors have no gradient where singular values meet or vanish (pytorch#49886), and no convention can
give them one. Use what does not depend on the choice of the vectors: `torch.linalg.svdvals`, projectors, ‖A‖ as a norm
of elements, `log_determinant` of AᵀA + εI, or `spectral_map` of AᵀA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from evenkeel.ops.precision import widened


def log_determinant(a: Tensor) -> Tensor:
    """The logarithm of det A of a symmetric positive definite matrix: no determinant that overflows.

    Shape: (*, n, n) to (*); only the lower triangle is read. Dtype: any real float; float16 and bfloat16 compute in
    float32, also under autocast. 0 for n = 0.
    Gradient: A⁻¹.
    Error: n·κ(A) ulp of 1, with κ the condition number.
    Raises: torch.linalg.LinAlgError where a matrix is not positive definite, with its index in the batch.
    Cost: one factor as large as A for backward; a host sync on accelerators, which the raising takes.
    """
    try:
        factor = torch.linalg.cholesky(widened(a))
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]  # missing in the stubs of torch
        raise torch.linalg.LinAlgError(  # type: ignore[attr-defined]
            f"log_determinant needs positive definite matrices, and got one that is not, of shape {tuple(a.shape)} in "
            f"{a.dtype}. Torch says: {error} A covariance of fewer samples than features is singular; add a multiple "
            "of the identity on the scale of the diagonal, compute in float64, or build the matrix as L·Lᵀ + εI."
        ) from error
    return (2 * torch.log(factor.diagonal(dim1=-2, dim2=-1)).sum(-1)).to(a.dtype)


def eigh(a: Tensor, tolerance: float | None = None) -> tuple[Tensor, Tensor]:
    """Eigenvalues (ascending) and eigenvectors (columns) of a symmetric matrix, with gradients where eigenvalues meet.

    Convention: the gradient has a term (vᵢ·∂vⱼ) / (wⱼ - wᵢ) for each pair; the terms of equal eigenvalues are left
    out. That is right for every loss that does not look inside an eigenspace: functions of the eigenvalues that
    treat equal ones alike (sums, norms, log det), and projectors on whole eigenspaces. It is wrong for what tells the
    vectors of one eigenspace apart, which has no gradient, and for V·f(w)·Vᵀ, whose terms tend to f'(w) and not to 0:
    use `spectral_map` for that.

    Args:
        a: (*, n, n), symmetric; only the lower triangle is read. float16 and bfloat16 compute in float32.
        tolerance: eigenvalues that differ by at most this share of the largest magnitude count as equal;
            4·n·eps of the dtype unless said otherwise, below which differences are noise.

    Gradient: symmetric; that of w alone is Σ gᵢ·vᵢ·vᵢᵀ, always finite; second derivatives by the same convention.
    Error: of the factorisation: w to a few n·eps·max|w|.
    Cost: keeps w and V for backward.
    """
    wide = widened(a)
    if tolerance is None:
        tolerance = 4 * a.shape[-1] * torch.finfo(wide.dtype).eps
    values, vectors = _Eigh.apply(wide, tolerance)  # type: ignore[no-untyped-call]
    return values.to(a.dtype), vectors.to(a.dtype)


def spectral_map(a: Tensor, function: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor]) -> Tensor:
    """V·f(w)·Vᵀ of a symmetric matrix A = V·diag(w)·Vᵀ: its root, logarithm, exponential, inverse root.

    The gradient takes divided differences (f(wᵢ) - f(wⱼ)) / (wᵢ - wⱼ), and `slope` between close eigenvalues, so it
    is right where eigenvalues are equal, too (the theorem of Daleckii and Krein).

    Args:
        a: (*, n, n), symmetric; only the lower triangle is read. float16 and bfloat16 compute in float32.
        function: f, elementwise.
        slope: f', elementwise; its value where f has none decides there: 0 at 0 for a root.

    Gradient: symmetric and finite wherever f and `slope` are. Second derivatives go through `eigh`, so they are right
    for distinct eigenvalues only.
    Error: n·eps·max|w| in w, carried through f; of the gradient, eps^(2/3) relative where eigenvalues nearly meet.
    Cost: one eigenproblem forward and one backward; keeps A.
    """
    result: Tensor = _SpectralMap.apply(widened(a), function, slope)  # type: ignore[no-untyped-call]
    return result.to(a.dtype)


def _product(*factors: Tensor) -> Tensor:
    """The matrix product, in the factors' own dtype also under autocast."""
    with torch.autocast(factors[0].device.type, enabled=False):
        product = factors[0]
        for factor in factors[1:]:
            product = product @ factor
        return product


def _assembled(vectors: Tensor, middle: Tensor) -> Tensor:
    return _product(vectors, middle, vectors.mT)


def _gaps(values: Tensor) -> Tensor:
    """wⱼ - wᵢ, in row i and column j."""
    return values.unsqueeze(-2) - values.unsqueeze(-1)


class _Eigh(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, _tolerance: float) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(a)
        return values, vectors

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.tolerance = inputs[1]
        ctx.save_for_backward(*output)

    @staticmethod
    def backward(ctx: Any, by_values: Tensor, by_vectors: Tensor) -> tuple[Tensor, None]:
        values, vectors = ctx.saved_tensors
        turned = _product(vectors.mT, by_vectors)
        gaps = _gaps(values)
        same = gaps.abs() <= ctx.tolerance * values.abs().amax(-1, keepdim=True).unsqueeze(-1)
        twist = torch.where(same, 0.0, (turned - turned.mT) / (2 * torch.where(same, 1.0, gaps)))
        return _assembled(vectors, torch.diag_embed(by_values) + twist), None


class _SpectralMap(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, function: Callable[[Tensor], Tensor], _slope: Callable[[Tensor], Tensor]) -> Tensor:
        values, vectors = torch.linalg.eigh(a)
        return _assembled(vectors, torch.diag_embed(function(values)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
        ctx.function, ctx.slope = inputs[1:]
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        values, vectors = eigh(ctx.saved_tensors[0])
        results = ctx.function(values)
        gaps = _gaps(values)
        size = torch.maximum(values.abs().unsqueeze(-2), values.abs().unsqueeze(-1))
        near = gaps.abs() <= torch.finfo(values.dtype).eps ** (1 / 3) * size
        between = ctx.slope((values.unsqueeze(-2) + values.unsqueeze(-1)) / 2)
        divided = torch.where(near, between, _gaps(results) / torch.where(near, 1.0, gaps))
        symmetric = (grad + grad.mT) / 2
        return _assembled(vectors, divided * _product(vectors.mT, symmetric, vectors)), None, None
