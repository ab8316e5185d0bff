"""Failures of likelihoods and losses that happened to somebody, each mended by one call, and the traps beside it.

The ids are those of the project's collection of public cases. Every test first shows the failure of the published form,
in its value or in its gradient; then evenkeel's form is right in both.
"""

from __future__ import annotations

import math

import pytest
import torch
from mpmath import mp
from tests.ops.derive import at
from torch import Tensor
from torch.nn.functional import relu

from evenkeel import ops
from evenkeel.core.errors import UsageError


def finite(*numbers: object) -> bool:
    """Whether all numbers, in lists or not, are."""
    return all(finite(*n) if isinstance(n, list) else math.isfinite(n) for n in numbers)


def test_g08_kl_of_a_log_variance() -> None:
    """The log of a log-variance, inside a KL term: nan below 0."""
    mean, log_var = [0.5, -1.0], [-0.7, 0.3]
    broken, *_ = at(lambda m, v: -0.5 * (1 + v.log() - m**2 - v.exp()), mean, log_var)
    assert math.isnan(broken[0])
    value, by_mean, by_log_var = at(ops.gaussian_kl, mean, log_var)
    assert value == pytest.approx([0.5 * (m * m + math.exp(v) - 1 - v) for m, v in zip(mean, log_var, strict=True)])
    assert by_mean == mean
    assert by_log_var == pytest.approx([math.expm1(v) / 2 for v in log_var])


def test_g14_and_u14_the_root_of_a_variance() -> None:
    """sqrt(exp(log_var)) at -110: the variance underflows and the slope is nan; a learned scale below 0 has no root."""
    _, slope = at(lambda v: torch.sqrt(v.exp()), [-110.0])
    assert not finite(slope)
    value, *slopes = at(ops.gaussian_log_prob, [1e-24], [0.0], [-110.0])
    r = 1e-24 * math.exp(55)
    assert value[0] == pytest.approx(55 - 0.5 * math.log(2 * math.pi) - r * r / 2)
    assert finite(*slopes)


def test_u20_noise_times_a_scale() -> None:
    """0·exp(200) is nan; a bound in the model keeps value and slope, and what went out comes back in."""
    broken, _ = at(lambda v: torch.zeros(1) * v.exp(), [200.0])
    assert math.isnan(broken[0])
    value, slope = at(lambda v: torch.zeros(1) * ops.bounded_log_var(v, 10.0).exp(), [200.0])
    assert value == slope == [0.0]
    _, clamped = at(lambda v: v.clamp(max=10.0), [12.0])  # the trap: no way back
    _, bounded = at(lambda v: ops.bounded_log_var(v, 10.0), [12.0])
    assert clamped == [0.0]
    assert bounded[0] > 0.3


def test_u22_log_gamma_of_a_large_dispersion() -> None:
    """lgamma(x + theta) - lgamma(theta) at 1e8, in float32: 128 for 92, and a slope of 0."""
    x, theta = torch.tensor([5.0]), torch.tensor([1e8], requires_grad=True)
    broken = torch.lgamma(x + theta) - torch.lgamma(theta)
    assert abs(broken.item() - 5 * math.log(1e8)) > 10
    assert torch.autograd.grad(broken, theta)[0].item() == 0
    m, t = math.log(7.0), math.log(1e8)
    value, _, by_log_theta = at(lambda m, t: ops.negative_binomial_log_prob(x, m, t), [m], [t])
    poisson = 5 * m - 7 - math.lgamma(6)
    assert value[0] == pytest.approx(poisson, rel=1e-6)
    assert by_log_theta[0] == pytest.approx(-((5 - 7) ** 2 - 5) / 2 / 1e8, rel=1e-5)


def test_u22_trap_an_eps_in_each_logarithm() -> None:
    """The usual log(mean + eps) makes the likelihood finite, and silences what should pull the mean up."""

    def guarded(m: Tensor, t: Tensor) -> Tensor:
        mean, theta, eps = m.exp(), t.exp(), 1e-8
        total = torch.log(theta + mean + eps)
        gammas = torch.lgamma(5 + theta) - torch.lgamma(theta) - math.lgamma(6)
        return theta * (torch.log(theta + eps) - total) + 5 * (torch.log(mean + eps) - total) + gammas

    _, by_mean, _ = at(guarded, [-30.0], [0.0])
    assert by_mean[0] < 1e-4
    _, by_mean, _ = at(lambda m, t: ops.negative_binomial_log_prob(torch.tensor([5]), m, t), [-30.0], [0.0])
    assert by_mean[0] == pytest.approx(5.0)


def test_u24_multi_similarity_of_embeddings_that_are_not_normalised() -> None:
    """log(1 + Σ exp(40·s)) at s = 6.25."""
    s = [[0.0, 6.25], [6.25, 0.0]]
    apart = ~torch.eye(2, dtype=torch.bool)
    broken, slope = at(lambda s: torch.log(1 + torch.where(apart, (40 * s).exp(), 0.0).sum(1)).mean() / 40, s)
    assert broken == math.inf
    assert not finite(slope)
    nobody = torch.zeros(2, 2, dtype=torch.bool)
    value, slope = at(lambda s: ops.multi_similarity(s, nobody, apart, alpha=2.0, beta=40.0, base=0.0).value, s)
    assert value == pytest.approx(6.25)
    assert slope == [[0.0, 0.5], [0.5, 0.0]]


@pytest.mark.parametrize("overlap", [ops.dice, ops.intersection_over_union])
def test_u28_an_empty_ground_truth(overlap: object) -> None:
    """0/0; and the trap of an eps, which in float16 is 0 itself."""
    empty = torch.zeros(3)
    broken, slope = at(lambda p: (p * empty).sum() / (p.sum() + empty.sum() - (p * empty).sum()), [0.0] * 3)
    assert not finite(broken, slope)
    trap, _ = at(lambda p: ((p * 0).sum() + 1e-8) / (p.sum() + 1e-8), [0.0] * 3, dtype=torch.float16)
    assert math.isnan(trap)
    for dtype in (torch.float16, torch.float32):
        value, slope = at(lambda p: overlap(p, empty), [0.0] * 3, dtype=dtype)
        assert value == 1
        assert slope == [0.0] * 3


def test_u30_and_u34_a_batch_without_positives() -> None:
    """The mean over none of the anchors."""
    nobody, others = torch.zeros(3, 3, dtype=torch.bool), ~torch.eye(3, dtype=torch.bool)
    x = [[0.0, 1.0, 2.0]] * 3
    broken, _ = at(lambda x: -torch.log_softmax(x, 1)[nobody].mean(), x)
    assert math.isnan(broken)
    value, slope = at(lambda x: ops.supervised_contrastive(x, nobody, others).value, x)
    assert value == 0
    assert slope == [[0.0] * 3] * 3
    assert ops.supervised_contrastive(torch.tensor(x), nobody, others).population == 0  # so nobody takes it for success


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_u32_a_batch_without_events(ties: str) -> None:
    """The mean over none of the events."""
    time, none = torch.tensor([3.0, 2.0, 1.0]), torch.zeros(3, dtype=torch.bool)
    h = [0.3, -0.2, 0.9]
    broken, slope = at(lambda h: -((h - torch.logcumsumexp(h, 0)) * none).sum() / none.sum(), h)
    assert math.isnan(broken)
    assert not finite(slope)
    value, slope = at(lambda h: ops.cox_partial_likelihood(h, time, none, ties).value, h)
    assert value == 0
    assert slope == [0.0] * 3


def test_u36_silog_of_a_constant_error() -> None:
    """The root of mean(d²) - mean(d)², 0 or a rounding error of either sign; and the trap of a relu under the root."""
    truth, mask = torch.tensor([1.0, 2.0, 3.0]), torch.ones(3, dtype=torch.bool)
    prediction = (truth + 0.75).tolist()  # exact in binary
    _, slope = at(lambda p: ((p - truth).square().mean() - (p - truth).mean().square()).sqrt(), prediction)
    assert not finite(slope)
    _, trap = at(
        lambda p: (relu((p - truth).square().mean() - (p - truth).mean().square()) + 0).sqrt(), [1.1, 2.3, 3.1]
    )
    value, slope = at(lambda p: ops.scale_invariant_log_error(p, truth, mask, 1.0).value, prediction)
    assert value == 0
    assert slope == [0.0] * 3
    value, slope = at(lambda p: ops.scale_invariant_log_error(p, truth, mask, 1.0).value, [1.1, 2.3, 3.1])
    assert slope == pytest.approx(trap, rel=1e-4)  # away from there they agree


def test_u38_a_constant_feature() -> None:
    """0/0; refused by name, or mapped to 0 because the call says so."""
    x = torch.tensor([[1.0, 5.0], [2.0, 5.0]])
    assert ((x - x.amin(0)) / (x.amax(0) - x.amin(0))).isnan().any()
    with pytest.raises(UsageError, match="1 of 2 columns are constant: 1"):
        ops.fit_min_max(x)
    assert ops.fit_min_max_constants_to_zero(x).apply(x).tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_softmax_then_log_of_a_target() -> None:
    """The deconvolution recipe: inf with nan in the gradient; the trap of a clamp is finite and learns nothing."""
    target, logits = torch.tensor([0.2, 0.3, 0.5]), [0.0, -200.0, -400.0]

    def broken(x: Tensor) -> Tensor:
        return (target * (target.log() - torch.softmax(x, 0).log())).sum()

    def clamped(x: Tensor) -> Tensor:
        return (target * (target.log() - torch.softmax(x, 0).clamp(min=1e-10).log())).sum()

    value, slope = at(broken, logits)
    assert value == math.inf
    assert not finite(slope)
    value, slope = at(clamped, logits)
    assert value == pytest.approx(17.39, abs=0.01)
    assert slope[1:] == [0.0, 0.0]
    value, slope = at(lambda x: ops.kl_of_target(target, x), logits)
    assert value == pytest.approx(float(mp.mpf("258.97")), abs=0.01)
    assert slope == pytest.approx([0.8, -0.3, -0.5])
