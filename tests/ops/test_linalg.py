from __future__ import annotations

import math

import pytest
import torch
from tests.ops.operations import definite
from torch import Tensor

from evenkeel import ops


def symmetric(size: int, seed: int = 0) -> Tensor:
    """A random symmetric matrix."""
    a = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (a + a.mT) / 2


def with_eigenvalues(*values: float) -> Tensor:
    """A matrix with these eigenvalues and random vectors."""
    basis, _ = torch.linalg.qr(symmetric(len(values), 1))
    return basis @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ basis.mT


def gradient(function: object, a: Tensor) -> Tensor:
    """Of a function of a matrix, as a symmetric matrix."""
    leaf = a.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(leaf), leaf)
    return (slope + slope.mT) / 2


def numeric(function: object, a: Tensor) -> Tensor:
    """The same, by differences along symmetric directions."""
    step = 1e-6
    result = torch.zeros_like(a)
    for i in range(len(a)):
        for j in range(len(a)):
            shift = torch.zeros_like(a)
            shift[i, j] += step / 2
            shift[j, i] += step / 2
            result[i, j] = (function(a + shift) - function(a - shift)) / (2 * step)
    return result


def test_log_determinant() -> None:
    """Also where the determinant itself is beyond the dtype."""
    (a,) = definite(torch.Generator().manual_seed(0))
    torch.testing.assert_close(ops.log_determinant(a), torch.logdet(a))
    big = 1e10 * torch.eye(50)
    assert torch.det(big).isinf()
    assert ops.log_determinant(big).item() == pytest.approx(50 * math.log(1e10), rel=1e-6)
    assert ops.log_determinant(torch.empty(0, 0)).item() == 0


def test_log_determinant_of_what_has_none() -> None:
    """An error with shape, dtype and remedy, and which matrix of the batch it is."""
    batch = torch.stack([torch.eye(2), torch.ones(2, 2)])
    with pytest.raises(torch.linalg.LinAlgError) as error:
        ops.log_determinant(batch)
    text = str(error.value)
    assert "positive definite" in text
    assert "(2, 2, 2) in torch.float32" in text
    assert "1)" in text
    assert "multiple of the identity" in text


def test_repeated_eigenvalues_do_not_hurt_functions_of_eigenvalues() -> None:
    """The gradient of Σw² is 2A, also at the identity, in the scalar's own case."""
    for a in (torch.eye(3, dtype=torch.float64), with_eigenvalues(2.0, 2.0, 5.0)):
        torch.testing.assert_close(gradient(lambda m: ops.eigh(m)[0].square().sum(), a), 2 * a)


def test_projectors_on_whole_eigenspaces() -> None:
    """Right although two eigenvalues are equal, where torch.linalg.eigh has nan or garbage."""
    a = with_eigenvalues(1.0, 1.0, 3.0, 4.0)
    target = symmetric(4, 2)

    def loss(m: Tensor, eigh: object = ops.eigh) -> Tensor:
        _, vectors = eigh(m)
        low = vectors[:, :2]
        return ((low @ low.mT) * target).sum()

    wanted = numeric(loss, a)
    torch.testing.assert_close(gradient(loss, a), wanted, rtol=1e-6, atol=1e-7)
    diagonal = torch.diag(torch.tensor([1.0, 1.0, 3.0, 4.0], dtype=torch.float64))
    torch.testing.assert_close(gradient(loss, diagonal), numeric(loss, diagonal), rtol=1e-6, atol=1e-7)
    assert not gradient(lambda m: loss(m, torch.linalg.eigh), diagonal).isfinite().all()


def test_the_tolerance_decides_what_is_equal() -> None:
    """Eigenvalues that differ by noise count as equal; with tolerance 0 their difference is divided by."""
    a = with_eigenvalues(1.0, 1.0 + 1e-15, 3.0)

    def loss(m: Tensor, tolerance: float | None) -> Tensor:
        return (ops.eigh(m, tolerance)[1] * torch.arange(9.0, dtype=torch.float64).reshape(3, 3)).sum()

    assert gradient(lambda m: loss(m, None), a).abs().max() < 100
    assert not gradient(lambda m: loss(m, 0.0), a).abs().max() < 1e10


def test_eigh_alone_is_wrong_for_matrix_functions() -> None:
    """V·f(w)·Vᵀ needs the terms that eigh leaves out: the reason why spectral_map exists."""
    weights = symmetric(3, 3)
    eye = torch.eye(3, dtype=torch.float64)

    def by_hand(m: Tensor) -> Tensor:
        values, vectors = ops.eigh(m)
        return ((vectors * values.exp().unsqueeze(-2)) @ vectors.mT * weights).sum()

    def mapped(m: Tensor) -> Tensor:
        return (ops.spectral_map(m, torch.exp, torch.exp) * weights).sum()

    torch.testing.assert_close(gradient(mapped, eye), math.e * weights)
    assert not torch.allclose(gradient(by_hand, eye), math.e * weights)


@pytest.mark.parametrize("values", [(1.0, 2.0, 4.0), (1.0, 1.0, 4.0), (2.0, 2.0, 2.0), (1.0, 1.0 + 1e-7, 4.0)], ids=str)
def test_spectral_map_is_right_at_all_eigenvalues(values: tuple[float, ...]) -> None:
    """A root: its square is the matrix, its gradient that of differences."""
    a = with_eigenvalues(*values)
    weights = symmetric(3, 4)

    def root(m: Tensor) -> Tensor:
        return ops.spectral_map(m, torch.sqrt, lambda w: 0.5 / torch.sqrt(w))

    torch.testing.assert_close(root(a) @ root(a), a)
    torch.testing.assert_close(
        gradient(lambda m: (root(m) * weights).sum(), a),
        numeric(lambda m: (root(m) * weights).sum(), a),
        rtol=1e-6,
        atol=1e-8,
    )


def test_spectral_map_takes_the_slope_it_is_given() -> None:
    """A root of a singular matrix has the gradient that `slope` states at 0."""
    a = torch.diag(torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64))
    slope = gradient(
        lambda m: ops.spectral_map(m, ops.sqrt, lambda w: torch.where(w > 0, 0.5 / w.sqrt(), 0.0)).sum(), a
    )
    assert slope.isfinite().all()
    assert slope[0, 1] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_autocast_does_not_narrow_the_products(dtype: torch.dtype) -> None:
    """Matrix products are what autocast narrows first."""
    a = symmetric(4).float()
    leaf = a.clone().requires_grad_()
    wanted = ops.spectral_map(leaf, torch.exp, torch.exp)
    (slope,) = torch.autograd.grad(wanted.sum(), leaf)
    with torch.autocast("cpu", dtype=dtype):
        got = ops.spectral_map(leaf, torch.exp, torch.exp)
        (got_slope,) = torch.autograd.grad(got.sum(), leaf)
    assert torch.equal(got, wanted)
    assert torch.equal(got_slope, slope)
