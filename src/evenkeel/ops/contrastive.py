"""Losses over pairs of a batch, which say how many anchors they are a mean of."""

from __future__ import annotations

import torch
from torch import Tensor

from evenkeel.ops.division import Counted
from evenkeel.ops.logs import log1pexp
from evenkeel.ops.precision import widened
from evenkeel.ops.softmax import log_softmax, logsumexp


def supervised_contrastive(logits: Tensor, positive: Tensor, allowed: Tensor) -> Counted:
    """The mean, over anchors that have a positive, of -(mean over the positives of log softmax(logits)).

    Give logits as similarities divided by the temperature. Leave an anchor out of its own row by `allowed`.

    Shape: logits, positive, allowed (n, m): anchors by candidates; value and population 0-d. Dtype: any float; float16
    and bfloat16 compute in float32. `positive` and `allowed` are boolean; a positive that is not allowed is left out.
    Edges: an anchor without a positive has no term and is not in the population, where Σ/0 is nan (yolov9#662,
    SupContrast#141). Without any anchor: 0 of 0, gradient 0. inf where a positive has a logit of -inf; nan
    with nan among the allowed.
    Gradient: (softmax - share of the positive) / population; 0 for what is not allowed.
    Error: that of `log_softmax`, 3 ulp of each term; the rounding of the sums comes on top.
    Cost: four tensors of the size of the logits. No host sync.
    Source: P. Khosla et al., "Supervised Contrastive Learning" (2020), the sum outside the logarithm.
    """
    wide = widened(logits)
    counted = positive & allowed
    log_p = torch.where(counted, log_softmax(wide, allowed), 0.0)
    num_positive = counted.sum(-1)
    terms = -log_p.sum(-1) / num_positive.clamp(min=1)
    return _mean_of(terms, num_positive > 0, logits.dtype)


def info_nce(logits: Tensor) -> Counted:
    """The mean of -log softmax(logits) at the diagonal: row i has its one positive at column i.

    Shape: (n, m) with m >= n; value and population 0-d. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 of 0 for no rows. inf where a diagonal logit is -inf and another of its row is not; nan with nan.
    Gradient: (softmax - 1 at the diagonal) / n.
    Error: that of `log_softmax`, 3 ulp of each term.
    Cost: three tensors of the size of the logits. No host sync.
    Source: A. van den Oord et al., "Representation Learning with Contrastive Predictive Coding" (2018).
    """
    wide = widened(logits)
    terms = -log_softmax(wide).diagonal(dim1=-2, dim2=-1)
    return _mean_of(terms, torch.ones_like(terms, dtype=torch.bool), logits.dtype)


def multi_similarity(  # noqa: PLR0913  # three matrices, and the three constants of the paper
    similarity: Tensor, positive: Tensor, negative: Tensor, *, alpha: float, beta: float, base: float
) -> Counted:
    """The mean over anchors of log(1 + Σ exp(-alpha·(s - base)))/alpha + log(1 + Σ exp(beta·(s - base)))/beta.

    The first sum goes over an anchor's positives, the second over its negatives. log(1 + Σ exp) is taken as
    softplus(logsumexp): with beta = 40 and embeddings that are not normalised, exp overflows float32 at s = 2.7.

    Shape: (n, m); value and population 0-d. Dtype: any float; float16 and bfloat16 compute in float32. `positive` and
    `negative` are boolean.
    Edges: an anchor with neither positives nor negatives has no term and is not in the population; a sum over nothing
    is 0 with gradient 0. Without any anchor: 0 of 0. Finite for all finite similarities whose product with alpha and
    beta is finite.
    Gradient: minus the weight of each positive, plus that of each negative, each at most 1 / population.
    Error: 4 ulp of the larger one of |logsumexp| and the value, for each term.
    Cost: six tensors of the size of the similarities. No host sync.
    Source: X. Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning" (2019).
    """
    centred = widened(similarity) - base
    pulled = log1pexp(logsumexp(-alpha * centred, positive)) / alpha
    pushed = log1pexp(logsumexp(beta * centred, negative)) / beta
    return _mean_of(pulled + pushed, (positive | negative).any(-1), similarity.dtype)


def _mean_of(terms: Tensor, defined: Tensor, dtype: torch.dtype) -> Counted:
    population = defined.sum()
    total = torch.where(defined, terms, 0.0).sum()
    return Counted((total / population.clamp(min=1)).to(dtype), population)
