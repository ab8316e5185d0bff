"""Every operation of one sort, with arguments from the inside of its domain, for the tests that hold for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel import ops

Made = Callable[[torch.Generator], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Operation:
    """A function of tensors only, and float64 arguments for it: the first dimension of each is a batch of three."""

    name: str
    call: Callable[..., Tensor]
    arguments: Made


def uniform(low: float, high: float, *shapes: tuple[int, ...]) -> Made:
    """Arguments between low and high."""

    def made(generator: torch.Generator) -> tuple[Tensor, ...]:
        return tuple(low + (high - low) * torch.rand(s, generator=generator, dtype=torch.float64) for s in shapes)

    return made


def apart(generator: torch.Generator) -> tuple[Tensor, ...]:
    """Two arguments, the first one at least .1 above the second."""
    a, b = uniform(0, 1, (3, 4), (3, 4))(generator)
    return a + b + 0.1, b


def rotations(generator: torch.Generator) -> tuple[Tensor, ...]:
    """Rotation matrices, by angles of about 1."""
    skew = torch.randn(3, 3, 3, generator=generator, dtype=torch.float64)
    return (torch.linalg.matrix_exp((skew - skew.mT) / 2),)


def definite(generator: torch.Generator) -> tuple[Tensor, ...]:
    """Positive definite matrices with eigenvalues well apart."""
    basis, _ = torch.linalg.qr(torch.randn(3, 4, 4, generator=generator, dtype=torch.float64))
    return (
        basis @ torch.diag_embed(torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)).expand(3, 4, 4) @ basis.mT,
    )


def half_open(x: Tensor) -> Tensor:
    """A mask for rows of x that keeps two elements of four."""
    return torch.tensor([True, False, True, False], device=x.device)


VECTORS = uniform(-1, 1, (3, 4), (3, 4))
ROWS = uniform(-3, 3, (3, 4))


def symmetrised(x: Tensor) -> Tensor:
    """Gradients of functions of a symmetric matrix are compared along symmetric directions."""
    return (x + x.mT) / 2


def projector(x: Tensor) -> Tensor:
    """Onto the two lower eigenvectors: what does not depend on their signs."""
    _, vectors = ops.eigh(symmetrised(x))
    return vectors[..., :2] @ vectors[..., :2].mT


def root(x: Tensor) -> Tensor:
    """The symmetric square root."""
    return ops.spectral_map(symmetrised(x), torch.sqrt, lambda w: 0.5 / torch.sqrt(w))


OPERATIONS = [
    Operation("log1mexp", ops.log1mexp, uniform(-3, -0.1, (3, 4))),
    Operation("log1pexp", ops.log1pexp, ROWS),
    Operation("log_softplus", ops.log_softplus, ROWS),
    Operation("logaddexp", ops.logaddexp, VECTORS),
    Operation("logsubexp", ops.logsubexp, apart),
    Operation("log_tanh_derivative", ops.log_tanh_derivative, ROWS),
    Operation("xlogy", ops.xlogy, uniform(0.1, 2, (3, 4), (3, 4))),
    Operation("xlogx", ops.xlogx, uniform(0.1, 2, (3, 4))),
    Operation("entropy", ops.entropy, uniform(0.1, 0.3, (3, 4))),
    Operation("entropy_of_logits", ops.entropy_of_logits, ROWS),
    Operation("entropy_of_logits masked", lambda x: ops.entropy_of_logits(x, half_open(x)), ROWS),
    Operation("softmax", ops.softmax, ROWS),
    Operation("grouped_softmax", lambda x: ops.grouped_softmax(x, torch.tensor([1, 0, 1, 1]), 3, -1), ROWS),
    Operation("softmax masked", lambda x: ops.softmax(x, half_open(x)), ROWS),
    Operation("log_softmax", ops.log_softmax, ROWS),
    Operation("log_softmax masked", lambda x: ops.log_softmax(x, half_open(x))[..., ::2], ROWS),
    Operation("logsumexp", ops.logsumexp, ROWS),
    Operation("logsumexp masked", lambda x: ops.logsumexp(x, half_open(x)), ROWS),
    Operation("sqrt", ops.sqrt, uniform(0.1, 2, (3, 4))),
    Operation("rsqrt", ops.rsqrt, uniform(0.1, 2, (3, 4))),
    Operation("norm", ops.norm, ROWS),
    Operation("norm of matrices", lambda x: ops.norm(x, (-2, -1)), uniform(-3, 3, (3, 2, 4))),
    Operation("normalise", ops.normalise, ROWS),
    Operation("cosine_similarity", ops.cosine_similarity, VECTORS),
    Operation("distance", ops.distance, VECTORS),
    Operation("pairwise_distances", ops.pairwise_distances, uniform(-3, 3, (3, 2, 4), (3, 5, 4))),
    Operation("divide", ops.divide, uniform(0.5, 2, (3, 4), (3, 4))),
    Operation("masked_mean", lambda x: ops.masked_mean(x, half_open(x), -1).value, ROWS),
    Operation("masked_var", lambda x: ops.masked_var(x, half_open(x), -1).value, ROWS),
    Operation("masked_std", lambda x: ops.masked_std(x, half_open(x), -1).value, ROWS),
    Operation("std", lambda x: ops.std(x, -1), ROWS),
    Operation("angle", ops.angle, VECTORS),
    Operation("sphere_distance", lambda x, y: ops.sphere_distance(ops.normalise(x), ops.normalise(y)), VECTORS),
    Operation("poincare_distance", ops.poincare_distance, uniform(-0.4, 0.4, (3, 4), (3, 4))),
    Operation("acosh1p", ops.acosh1p, uniform(0.1, 3, (3, 4))),
    Operation("acosh", ops.acosh, uniform(1.1, 3, (3, 4))),
    Operation("acos", ops.acos, uniform(-0.9, 0.9, (3, 4))),
    Operation("atanh", ops.atanh, uniform(-0.9, 0.9, (3, 4))),
    Operation("rotation_log_factor", ops.rotation_log_factor, uniform(0.1, 3, (3, 4))),
    Operation("rotation_angle", ops.rotation_angle, rotations),
    Operation("quaternion_of_rotation", ops.quaternion_of_rotation, rotations),
    Operation("log_determinant", lambda x: ops.log_determinant(symmetrised(x)), definite),
    Operation("eigh values", lambda x: ops.eigh(symmetrised(x))[0], definite),
    Operation("eigh projector", projector, definite),
    Operation("spectral_map", root, definite),
]
