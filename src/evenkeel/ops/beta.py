"""The log-density of shares under beta distributions, from logits and logarithms."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from evenkeel.ops.elementwise import elementwise
from evenkeel.ops.log_excess import log_quotient
from evenkeel.ops.stirling import HALF_LOG_2PI, remainder, scaled_slope


def beta_log_prob(logit: Tensor, log_a: Tensor, log_b: Tensor) -> Tensor:
    """The log-density, with respect to x = sigmoid(logit), of beta distributions with a = exp(log_a), b = exp(log_b).

    x is given by its logit, which loses nothing at either end; 1 - x of an x near 1 has lost its digits before anybody
    can help. Where only x is at hand, torch.logit(x) is as good as x was. For the density of the logit itself, add
    log x + log(1 - x).

    Shape: broadcast. Dtype: any float, the widest of the three; float16 and bfloat16 compute in float32.
    Edges: finite for all finite logits and for a and b from e^-60 to e^60 (float64: e^±600), beyond which they count as
    these. nan with inf or nan.
    Gradient: a·(1 - x) - b·x - (1 - 2·x) for the logit; a·(log x - ψ(a) + ψ(a + b)) for log_a without the cancellation,
    likewise for log_b.
    Error: 8 ulp of 1 + |value| and of what rounding the three arguments once may change it (the slopes, each times 1 +
    the size of its argument), together.
    Cost: keeps the inputs for backward. No host sync.
    """
    return elementwise(_value, (_by_logit, _by_log_a, _by_log_b), logit, log_a, log_b)


def _value(logit: Tensor, log_a: Tensor, log_b: Tensor) -> Tensor:
    far = _far(logit)
    a, b = torch.exp(log_a.clamp(-far, far)), torch.exp(log_b.clamp(-far, far))
    n = a + b
    gammas = remainder(n, n.reciprocal().log1p())
    gammas = gammas - remainder(a, a.reciprocal().log1p()) - remainder(b, b.reciprocal().log1p())
    halves = 0.5 * (log_a.clamp(-far, far) + log_b.clamp(-far, far) - torch.log(n))
    weighted = a * _log_ratio(logit, a, b) + b * _log_ratio(-logit, b, a)
    return weighted - (logsigmoid(logit) + logsigmoid(-logit)) + halves - HALF_LOG_2PI + gammas


def _log_ratio(logit: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """log(x / (a / (a + b))): by how much the share exceeds its mean."""
    far = _far(logit)
    x, not_x = torch.sigmoid(logit.clamp(min=-far)), torch.sigmoid(-logit)
    return log_quotient(x * ((a + b) / a), (x * b - not_x * a) / a) + (logit + far).clamp(max=0)


def _by_logit(logit: Tensor, log_a: Tensor, log_b: Tensor) -> Tensor:
    x, not_x = torch.sigmoid(logit), torch.sigmoid(-logit)
    return torch.exp(log_a) * not_x - torch.exp(log_b) * x - (not_x - x)


def _by_log_a(logit: Tensor, log_a: Tensor, log_b: Tensor) -> Tensor:
    far = _far(logit)
    a, b = torch.exp(log_a.clamp(-far, far)), torch.exp(log_b.clamp(-far, far))
    n = a + b
    gammas = (0.5 * b + a * scaled_slope(n, n.reciprocal().log1p())) / n - scaled_slope(a, a.reciprocal().log1p())
    return a * _log_ratio(logit, a, b) + gammas


def _by_log_b(logit: Tensor, log_a: Tensor, log_b: Tensor) -> Tensor:
    return _by_log_a(-logit, log_b, log_a)


def _far(x: Tensor) -> float:
    """Where exp is still far from the ends of the dtype's range, and 1 + exp(-far) is 1."""
    return 60.0 if x.dtype == torch.float32 else 600.0
