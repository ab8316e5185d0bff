"""Cox's partial likelihood, in logarithms throughout."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.ops.division import Counted
from evenkeel.ops.logs import logaddexp
from evenkeel.ops.precision import widened

Ties = Literal["breslow", "efron"]


def cox_partial_likelihood(log_hazard: Tensor, time: Tensor, event: Tensor, ties: Ties = "efron") -> Counted:
    """The mean over events of the negative log partial likelihood, and how many events there were.

    Shape: (*, n) each, broadcast; value and population (*,). Dtype: that of log_hazard, any float; float16 and bfloat16
    compute in float32. `event` is boolean: True for an observed event, False for a censored time.
    Ties: events at the same time share a risk set. "breslow" takes all of it for each; "efron" leaves out a share of
    the tied events, one more for each (the same without ties).
    Edges: without an event there is no term: 0 of 0 with gradient 0, where a mean over events is nan (TFDeepSurv#15).
    Finite for all finite log hazards, however large. A subject that is censored at the time of an event is at risk.
    Gradient: (share in the risk sets - 1 for an event) / number of events.
    Error: 2·log2(n) ulp of the largest log-sum of a risk set for each term; "efron" adds 1/(1 - share) ulp of 1.
    Cost: one sort, and log2(n) tensors of n elements that are kept for backward. No host sync.
    Source: D. R. Cox, "Regression Models and Life-Tables" (1972); N. Breslow (1974); B. Efron (1977).

    Raises:
        UsageError: `ties` is neither.
    """
    if ties not in ("breslow", "efron"):
        raise UsageError(f"ties={ties!r}; choose 'breslow' or 'efron'")
    h, time, event = torch.broadcast_tensors(widened(log_hazard), time, event)  # type: ignore[no-untyped-call]
    order = torch.argsort(time, dim=-1, descending=True, stable=True)
    h, is_event = h.gather(-1, order), event.gather(-1, order)
    descending = -time.gather(-1, order)
    last = torch.searchsorted(descending, descending, right=True) - 1  # the last one at the same time
    log_risk = _log_cumulative_sum(h).gather(-1, last)
    if ties == "efron":
        log_risk = log_risk + _log_share_left(h, is_event, torch.searchsorted(descending, descending), log_risk)
    terms = torch.where(is_event, log_risk - h, 0.0)
    population = is_event.sum(-1)
    return Counted((terms.sum(-1) / population.clamp(min=1)).to(log_hazard.dtype), population)


def _log_cumulative_sum(x: Tensor) -> Tensor:
    """The log of the running sums of exp(x), by doubling; second derivatives of torch.logcumsumexp are wrong."""
    reach = 1
    while reach < x.shape[-1]:
        none = torch.full_like(x[..., :reach], -math.inf)
        x = logaddexp(x, torch.cat([none, x[..., :-reach]], -1))
        reach *= 2
    return x


def _log_share_left(h: Tensor, is_event: Tensor, first: Tensor, log_risk: Tensor) -> Tensor:
    """log(1 - l/d·(tied events' share of the risk set)), for the l-th of d events at one time, from l = 0 on."""
    ones = is_event.to(h.dtype)
    num_tied = torch.zeros_like(h).scatter_add(-1, first, ones).gather(-1, first)
    before = torch.cumsum(ones, -1) - ones
    rank = before - before.gather(-1, first)
    share = torch.where(is_event, torch.exp(h - log_risk), 0.0)
    tied_share = torch.zeros_like(h).scatter_add(-1, first, share).gather(-1, first)
    return torch.log1p(-torch.where(is_event, rank / num_tied.clamp(min=1), 0.0) * tied_share)
