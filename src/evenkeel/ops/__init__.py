"""Stable operations: exact to rounding over their whole domain, with a stated gradient at its edges.

All compute in float32 for float16 and bfloat16 and answer in the dtype of their arguments, under autocast too. None
waits for an accelerator, unless its page says so. All run under `torch.compile(fullgraph=True)`, `torch.func.vmap` and
`torch.func.grad`, and can be differentiated twice. Forward-mode differentiation (`jvp`, `jacfwd`) is not offered, and
`torch.compile` of a function that calls `torch.func.grad` is not either: torch cannot do it with exact slopes.

Errors are stated in ulp of the dtype, as measured on CPUs against mpmath (`bench/accuracy.py`).
"""

from __future__ import annotations

from evenkeel.ops.angles import (
    acos,
    acosh,
    acosh1p,
    angle,
    atanh,
    poincare_distance,
    sphere_distance,
)
from evenkeel.ops.beta import (
    beta_log_prob,
)
from evenkeel.ops.contrastive import (
    info_nce,
    multi_similarity,
    supervised_contrastive,
)
from evenkeel.ops.count_normalisation import (
    CountNormalisation,
    normalise_counts,
    require_counts,
)
from evenkeel.ops.decoupled_diffusion import (
    DecoupledPreconditioning,
    decoupled_noised,
    decoupled_preconditioning,
    decoupled_target,
    decoupled_velocity,
    decoupled_velocity_by_root,
    x0_of_decoupled,
)
from evenkeel.ops.depth import (
    scale_invariant_log_error,
)
from evenkeel.ops.diffusion import (
    NoiseSchedule,
    Preconditioning,
    cosine_schedule,
    edm_preconditioning,
    epsilon_of_velocity,
    karras_sigmas,
    linear_schedule,
    noised,
    schedule_of_betas,
    velocity_of,
    velocity_of_epsilon,
    velocity_of_x0,
    x0_of_epsilon,
    x0_of_velocity,
)
from evenkeel.ops.divergences import (
    bernoulli_kl,
    categorical_cross_entropy,
    categorical_kl,
    gaussian_kl,
    kl_of_target,
)
from evenkeel.ops.division import (
    Counted,
    divide,
    masked_mean,
    masked_std,
    masked_var,
    std,
)
from evenkeel.ops.entropy import (
    entropy,
    entropy_of_logits,
    xlogx,
    xlogy,
)
from evenkeel.ops.gaussian import (
    bounded_log_var,
    gaussian_log_prob,
)
from evenkeel.ops.linalg import (
    eigh,
    log_determinant,
    spectral_map,
)
from evenkeel.ops.logs import (
    log1mexp,
    log1pexp,
    log_softplus,
    log_tanh_derivative,
    logaddexp,
    logsubexp,
)
from evenkeel.ops.negative_binomial import (
    negative_binomial_log_prob,
)
from evenkeel.ops.norms import (
    cosine_similarity,
    distance,
    norm,
    normalise,
    pairwise_distances,
)
from evenkeel.ops.ode import (
    EULER,
    HEUN,
    MIDPOINT,
    RK4,
    Estimated,
    NonFiniteVelocity,
    Solver,
    euler_step,
    heun_step,
    integrate,
    integrate_with_estimate,
    midpoint_step,
    rk4_step,
)
from evenkeel.ops.overlap import (
    dice,
    intersection_over_union,
)
from evenkeel.ops.poisson import (
    poisson_log_prob,
)
from evenkeel.ops.roots import (
    rsqrt,
    sqrt,
)
from evenkeel.ops.rotations import (
    quaternion_of_rotation,
    rotation_angle,
    rotation_log_factor,
)
from evenkeel.ops.scaling import (
    Scaling,
    fit_min_max,
    fit_min_max_constants_to_zero,
    fit_standard,
    fit_standard_constants_to_zero,
)
from evenkeel.ops.softmax import (
    grouped_softmax,
    log_softmax,
    logsumexp,
    softmax,
)
from evenkeel.ops.survival import (
    cox_partial_likelihood,
)
from evenkeel.ops.zero_inflated import (
    zero_inflated_log_prob,
    zero_inflated_negative_binomial_log_prob,
)

__all__ = [
    "EULER",
    "HEUN",
    "MIDPOINT",
    "RK4",
    "CountNormalisation",
    "Counted",
    "DecoupledPreconditioning",
    "Estimated",
    "NoiseSchedule",
    "NonFiniteVelocity",
    "Preconditioning",
    "Scaling",
    "Solver",
    "acos",
    "acosh",
    "acosh1p",
    "angle",
    "atanh",
    "bernoulli_kl",
    "beta_log_prob",
    "bounded_log_var",
    "categorical_cross_entropy",
    "categorical_kl",
    "cosine_schedule",
    "cosine_similarity",
    "cox_partial_likelihood",
    "decoupled_noised",
    "decoupled_preconditioning",
    "decoupled_target",
    "decoupled_velocity",
    "decoupled_velocity_by_root",
    "dice",
    "distance",
    "divide",
    "edm_preconditioning",
    "eigh",
    "entropy",
    "entropy_of_logits",
    "epsilon_of_velocity",
    "euler_step",
    "fit_min_max",
    "fit_min_max_constants_to_zero",
    "fit_standard",
    "fit_standard_constants_to_zero",
    "gaussian_kl",
    "gaussian_log_prob",
    "grouped_softmax",
    "heun_step",
    "info_nce",
    "integrate",
    "integrate_with_estimate",
    "intersection_over_union",
    "karras_sigmas",
    "kl_of_target",
    "linear_schedule",
    "log1mexp",
    "log1pexp",
    "log_determinant",
    "log_softmax",
    "log_softplus",
    "log_tanh_derivative",
    "logaddexp",
    "logsubexp",
    "logsumexp",
    "masked_mean",
    "masked_std",
    "masked_var",
    "midpoint_step",
    "multi_similarity",
    "negative_binomial_log_prob",
    "noised",
    "norm",
    "normalise",
    "normalise_counts",
    "pairwise_distances",
    "poincare_distance",
    "poisson_log_prob",
    "quaternion_of_rotation",
    "require_counts",
    "rk4_step",
    "rotation_angle",
    "rotation_log_factor",
    "rsqrt",
    "scale_invariant_log_error",
    "schedule_of_betas",
    "softmax",
    "spectral_map",
    "sphere_distance",
    "sqrt",
    "std",
    "supervised_contrastive",
    "velocity_of",
    "velocity_of_epsilon",
    "velocity_of_x0",
    "x0_of_decoupled",
    "x0_of_epsilon",
    "x0_of_velocity",
    "xlogx",
    "xlogy",
    "zero_inflated_log_prob",
    "zero_inflated_negative_binomial_log_prob",
]
