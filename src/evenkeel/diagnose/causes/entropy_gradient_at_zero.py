"""p·log p is finite at p = 0 and its gradient is not.

What you see:
    A finite loss and infinite or NaN gradients after xlogy, entr or kl_div.
Why:
    These functions define 0·log 0 as 0, so the forward pass looks mended. The slope log p + 1 is -inf at p
    = 0, and autograd computes it as 0/0 when both arguments are the same tensor.
Bad:
    entropy = -torch.xlogy(p, p).sum(-1)                   # p = softmax(logits)
Good:
    log_p = torch.log_softmax(logits, -1)
    entropy = -(log_p.exp() * log_p).sum(-1)
Not this:
    A log that is itself infinite in forward is log_of_nonpositive.
Source:
    The repair traps of evenkeel's case collection: xlogy and special.entr as a remedy for p·log p.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.diagnose import evidence, words

CODE = "EK216"
FAMILY: Family = "gradient_singularity"

_ENTROPIES = frozenset({"xlogy", "special_xlog1py", "entr", "special_entr", "kl_div"})


def judge(case: Case) -> Cause | None:
    """The derivative of p·log p at p = 0."""
    origin = evidence.born_backward(case, _ENTROPIES)
    if origin is None:
        return None
    operation = origin.operation
    zeros = [stats for stats in operation.inputs if evidence.num_zeros(stats)]
    if not zeros or any(stats.num_nonfinite for stats in operation.outputs):
        return None
    return Cause(
        name="entropy_gradient_at_zero",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)} received a probability of exactly 0{words.at(origin)}"
        f"{words.cite(operation)}: its value there is 0, its slope log p is -inf.",
        evidence=tuple(words.tensor(stats) for stats in operation.inputs),
        confidence=0.9,
        advice="Work from the logits: log_p = log_softmax(logits), then log_p.exp() * log_p. Without "
        "logits, bound p inside the logarithm only: p * p.clamp_min(tiny).log().",
    )
