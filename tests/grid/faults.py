"""Losses that fail in one known way when a sample of the batch is switched off, and are healthy when none is.

Each takes the model's output (between 0.9 and 1.1) and a switch for each sample, 1.0 or (bad) 0.0. The line that is to
be named ends with the fault's name.
"""

from __future__ import annotations

import torch
from tests.grid.fault import BACK, BATCH, of
from torch import Tensor
from torch.nn import functional as F

INF = torch.inf


def log(u: Tensor, on: Tensor) -> Tensor:
    """The logarithm of 0."""
    return torch.log(on * u).mean()  # origin: log


def division(u: Tensor, on: Tensor) -> Tensor:
    """Divided by 0."""
    return (2.0 / (on * u)).mean()  # origin: division


def root_of_negative(u: Tensor, on: Tensor) -> Tensor:
    """The root of -0.5."""
    return torch.sqrt((on - 0.5) * u).mean()  # origin: root_of_negative


def outside(u: Tensor, on: Tensor) -> Tensor:
    """The angle of a cosine of 1.5."""
    return torch.acos((1.5 - on) * u).mean()  # origin: outside


def masked_entropy(u: Tensor, on: Tensor) -> Tensor:
    """0 times the logarithm of 0."""
    logits = torch.stack([u, 2 * u, u.square()], dim=1).float()
    masked = logits.masked_fill(on[:, None].logical_not() & torch.tensor([True, False, False]), -INF)
    logp = F.log_softmax(masked, dim=1)
    return -(logp.exp() * logp).sum(dim=1).mean()  # origin: masked_entropy


def at_bound(u: Tensor, on: Tensor) -> Tensor:
    """The logit of exactly 1."""
    return torch.logit(1.0 - 0.5 * on * u).mean()  # origin: at_bound


def degree(u: Tensor, on: Tensor) -> Tensor:
    """0 to a negative power."""
    return (on * u).pow(-0.5).mean()  # origin: degree


def gamma(u: Tensor, on: Tensor) -> Tensor:
    """The gamma function at 0."""
    return torch.lgamma((on * u).float()).mean()  # origin: gamma


def inverse(u: Tensor, on: Tensor) -> Tensor:
    """The inverse of a matrix of zeros."""
    matrices = torch.eye(2) * (on * u).float()[:, None, None]
    return torch.linalg.inv_ex(matrices).inverse.mean()  # origin: inverse


def root(u: Tensor, on: Tensor) -> Tensor:
    """The slope of a root at 0."""
    return torch.sqrt(on * u).mean()  # origin: root


def dead_branch(u: Tensor, on: Tensor) -> Tensor:
    """The logarithm that where did not take."""
    return torch.where(on > 0, torch.log(on * u), 0.0).mean()  # origin: dead_branch


def edge(u: Tensor, on: Tensor) -> Tensor:
    """The slope of acos at 1."""
    return torch.acos(1.0 - 0.5 * on * u).mean()  # origin: edge


def masked_row(u: Tensor, on: Tensor) -> Tensor:
    """A softmax over nothing."""
    scores = torch.stack([u, 2 * u, u.square()], dim=1)
    masked = scores.masked_fill(on[:, None] == 0, -INF)
    return torch.softmax(masked, dim=1).square().mean()  # origin: masked_row


def repeated_values(u: Tensor, on: Tensor) -> Tensor:
    """The eigenvectors of a multiple of the identity."""
    spread = torch.diag(torch.tensor([0.0, 1.0])) * on[:, None, None]
    matrices = torch.eye(2) * u.float()[:, None, None] + spread
    vectors = torch.linalg.eigh(matrices).eigenvectors  # origin: repeated_values
    return vectors[:, 0, 0].abs().mean() + vectors[:, 0, 1].mean()


def entropy(u: Tensor, on: Tensor) -> Tensor:
    """An entropy, p log p, at p = 0."""
    p = on * u / 2
    return torch.special.entr(p).mean()  # origin: entropy


def distance(u: Tensor, on: Tensor) -> Tensor:
    """The distance between a point and itself."""
    point = torch.stack([u, u.square()], dim=1)
    other = point.detach() + on[:, None]
    return (point - other).square().sum(dim=1).sqrt().mean()  # origin: distance


def penalty(u: Tensor, on: Tensor) -> Tensor:
    """A gradient penalty where the critic is flat."""
    score = (on * u.float()).pow(3)
    (slope,) = torch.autograd.grad(score.sum(), u, create_graph=True)
    return (slope.float().square().sqrt() - 1).square().mean()  # origin: penalty


def exponential(u: Tensor, on: Tensor) -> Tensor:
    """exp(200)."""
    return torch.exp(u + 200.0 * (1 - on) * u).mean()  # origin: exponential


def square(u: Tensor, on: Tensor) -> Tensor:
    """1e25 squared."""
    return ((1e25 * (1 - on) + 1.0) * u).square().mean()  # origin: square


def half_square(u: Tensor, on: Tensor) -> Tensor:
    """1,000 squared in float16."""
    return ((1000.0 * (1 - on) + 1.0) * u).half().square().float().mean()  # origin: half_square


def half_eps(u: Tensor, on: Tensor) -> Tensor:
    """An eps that is 0 in float16."""
    return (1.0 / ((on * u).half() + 1e-8)).float().mean()  # origin: half_eps


def half_mask(u: Tensor, on: Tensor) -> Tensor:
    """A mask constant that is no number in float16."""
    scores = torch.stack([u, 2 * u], dim=1).half()
    masked = scores + (1 - on)[:, None].half() * -1e9  # origin: half_mask
    return torch.softmax(masked, dim=1).float().square().mean()


def unsquashed(u: Tensor, on: Tensor) -> Tensor:
    """atanh(tanh(20))."""
    return torch.atanh(torch.tanh((0.5 + 19.5 * (1 - on)) * u)).mean()  # origin: unsquashed


def two_moments(u: Tensor, on: Tensor) -> Tensor:
    """A variance by the difference of two squares: of three times 3001.85 that is -1."""
    rows = u.float()[:, None] * 0.0 + torch.where(on[:, None] > 0, torch.tensor([1.0, 2.0, 3.0]), 3001.85)
    variance = rows.square().mean(dim=1) - rows.mean(dim=1).square()
    return torch.sqrt(variance).mean()  # origin: two_moments


def tiny(u: Tensor, on: Tensor) -> Tensor:
    """Divided by 1e-40."""
    return (1.0 / (u.float() * torch.where(on > 0, 1.0, 1e-40))).mean()  # origin: tiny


def underflow(u: Tensor, on: Tensor) -> Tensor:
    """Divided by exp(-200)."""
    return (1.0 / torch.exp(-u - 200.0 * (1 - on) * u)).mean()  # origin: underflow


def empty_mean(u: Tensor, on: Tensor) -> Tensor:
    """A mean over the samples that are on, when one being off closes them all."""
    chosen = u[on.all().expand(len(u))]
    return chosen.mean()  # origin: empty_mean


def constant(u: Tensor, on: Tensor) -> Tensor:
    """A feature scaled by its range, which is 0."""
    feature = u * 0.0 + torch.arange(float(len(u))) * on.min() + u.mean()
    low, high = feature.amin(), feature.amax()
    return ((feature - low) / (high - low)).mean()  # origin: constant


def alone(u: Tensor, on: Tensor) -> Tensor:
    """The spread of a single sample."""
    chosen = u.float() if bool(on.all()) else u.float()[:1]
    return chosen.std()  # origin: alone


def ignored(u: Tensor, on: Tensor) -> Tensor:
    """A mean over targets that are all ignored."""
    logits = torch.stack([u, 2 * u], dim=1).float()
    targets = torch.where(on.all(), torch.arange(len(u)) % 2, -100)
    return F.cross_entropy(logits, targets)  # origin: ignored


def too_short(u: Tensor, on: Tensor) -> Tensor:
    """A transcript that is longer than its recording."""
    frames = torch.stack([u, 2 * u, u.square()], dim=1).float().expand(4, -1, -1)
    lengths = torch.where(on > 0, 4, 1)
    targets = torch.ones(len(u), 2, dtype=torch.int64) + torch.arange(2)
    return F.ctc_loss(frames.log_softmax(-1), targets, lengths, torch.full((len(u),), 2))  # origin: too_short


def replaced(u: Tensor, on: Tensor) -> Tensor:
    """An infinity made the largest number, which is then squared."""
    finite = torch.nan_to_num(torch.exp(u + 200.0 * (1 - on) * u))
    return finite.square().mean()  # origin: replaced


def half_gradient(u: Tensor, on: Tensor) -> Tensor:
    """A gradient of 250,000 on its way through float16."""
    narrow = u.half()
    wide = narrow.float()  # origin: half_gradient
    return (wide * (1.0 + 1e6 * (1 - on))).mean()


FAULTS = [
    of("log_of_nonpositive", log),
    of("division_by_zero", division),
    of("root_of_negative", root_of_negative),
    of("outside_domain", outside),
    of("zero_times_infinity", masked_entropy),
    of("infinite_at_bound", at_bound),
    of("power_of_zero", degree),
    of("gamma_pole", gamma),
    of("singular_matrix", inverse),
    of("root_gradient_at_zero", root, **BACK),
    of("unselected_branch", dead_branch, **BACK),
    of("inverse_function_edge", edge, **BACK),
    of("fully_masked_row", masked_row),
    of("degenerate_decomposition", repeated_values, **BACK),
    of("entropy_gradient_at_zero", entropy, **BACK),
    of("distance_to_itself", distance, **BACK),
    of("gradient_penalty_at_zero", penalty, **BACK),
    of("exp_overflow", exponential),
    of("product_overflow", square),
    of("half_overflow", half_square),
    of("half_underflow", half_eps),
    of("mask_constant_overflow", half_mask),
    of("saturated_inverse", unsquashed),
    of("cancellation", two_moments),
    of("tiny_denominator", tiny),
    of("exp_underflow", underflow),
    of("empty_reduction", empty_mean, **BATCH),
    of("constant_feature", constant, **BATCH),
    of("single_element_spread", alone, **BATCH),
    of("all_targets_ignored", ignored, **BATCH),
    of("impossible_length", too_short),
    of("hidden_by_replacement", replaced),
    of("gradient_overflow_in_half", half_gradient, **BACK),
]
