"""Likelihoods, divergences and losses, with arguments inside their domains, for the tests that hold for all."""

from __future__ import annotations

import torch
from tests.ops.operations import Operation, uniform
from torch import Tensor

from evenkeel import ops

ONE = uniform(-2, 2, (3, 4))
TWO = uniform(-2, 2, (3, 4), (3, 4))
THREE = uniform(-2, 2, (3, 4), (3, 4), (3, 4))
SQUARE = uniform(-2, 2, (3, 4, 4))


def counts(x: Tensor) -> Tensor:
    """Counts for rows of four."""
    return torch.tensor([0, 1, 3, 40], device=x.device)


def some(x: Tensor) -> Tensor:
    """A mask for rows of four by four: two anchors without a positive."""
    return torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool, device=x.device)


def others(x: Tensor) -> Tensor:
    """Everything but the diagonal."""
    return ~torch.eye(4, dtype=torch.bool, device=x.device)


def survival(ties: str) -> object:
    """The partial likelihood of four subjects, two of which had their event at the same time."""

    def loss(h: Tensor) -> Tensor:
        time = torch.tensor([2.0, 1.0, 2.0, 3.0], device=h.device)
        event = torch.tensor([True, True, True, False], device=h.device)
        return ops.cox_partial_likelihood(h, time, event, ties).value

    return loss


def multi_similarity(s: Tensor) -> Tensor:
    """With the constants of the paper."""
    return ops.multi_similarity(s, some(s), others(s) & ~some(s), alpha=2.0, beta=50.0, base=1.0).value


def depth_error(focus: float) -> object:
    """Two pixels of four count."""
    kept = [True, False, True, True]
    return lambda p, t: ops.scale_invariant_log_error(p, t, torch.tensor(kept, device=p.device), focus, -1).value


def preconditioned(sigma: Tensor) -> Tensor:
    """All four coefficients."""
    return torch.stack(ops.edm_preconditioning(sigma, 0.5))


def decoupled(t: Tensor) -> Tensor:
    """All five coefficients."""
    return torch.stack(ops.decoupled_preconditioning(t, 0.5))


LOSS_OPERATIONS = [
    Operation("poisson_log_prob", lambda r: ops.poisson_log_prob(counts(r), r), ONE),
    Operation("negative_binomial_log_prob", lambda m, t: ops.negative_binomial_log_prob(counts(m), m, t), TWO),
    Operation(
        "zero_inflated_log_prob",
        lambda a, z: ops.zero_inflated_log_prob(counts(a), a, z),
        uniform(-3, -0.1, (3, 4), (3, 4)),
    ),
    Operation(
        "zero_inflated_negative_binomial_log_prob",
        lambda m, t, z: ops.zero_inflated_negative_binomial_log_prob(counts(m), m, t, z),
        THREE,
    ),
    Operation("gaussian_log_prob", ops.gaussian_log_prob, THREE),
    Operation("bounded_log_var", lambda r: ops.bounded_log_var(r, 3.0), ONE),
    Operation("beta_log_prob", ops.beta_log_prob, THREE),
    Operation("categorical_kl", ops.categorical_kl, TWO),
    Operation("categorical_cross_entropy", ops.categorical_cross_entropy, TWO),
    Operation("kl_of_target", ops.kl_of_target, uniform(0.1, 2, (3, 4), (3, 4))),
    Operation("bernoulli_kl", ops.bernoulli_kl, TWO),
    Operation("gaussian_kl", ops.gaussian_kl, TWO),
    Operation("dice", ops.dice, uniform(0.1, 0.9, (3, 4), (3, 4))),
    Operation("intersection_over_union", ops.intersection_over_union, uniform(0.1, 0.9, (3, 4), (3, 4))),
    Operation("supervised_contrastive", lambda x: ops.supervised_contrastive(x, some(x), others(x)).value, SQUARE),
    Operation("info_nce", lambda x: ops.info_nce(x).value, SQUARE),
    Operation("multi_similarity", multi_similarity, uniform(0.5, 1.5, (3, 4, 4))),
    Operation("scale_invariant_log_error", depth_error(0.85), TWO),
    Operation("scale_invariant_log_error at 1", depth_error(1.0), TWO),
    Operation("cox_partial_likelihood breslow", survival("breslow"), ONE),
    Operation("cox_partial_likelihood efron", survival("efron"), ONE),
    Operation("edm_preconditioning", preconditioned, uniform(0.1, 3, (3, 4))),
    Operation("decoupled_preconditioning", decoupled, uniform(0.1, 0.9, (3, 4))),
    Operation("decoupled_target", lambda x, e: ops.decoupled_target(x, e, torch.tensor(0.3), 0.5), TWO),
    Operation("velocity_of", lambda x, e: ops.velocity_of(x, e, torch.tensor(0.6), torch.tensor(0.8)), TWO),
]
