"""An exponential left the range of its dtype.

What you see:
    An infinite loss, or NaN from inf/inf, inf - inf or 0·inf soon after an exp.
Why:
    exp(x) ends at x = 88.7 in float32 and at 11.09 in float16. A logit, a log-variance or a score times a
    temperature gets there easily.
Bad:
    loss = torch.log(1 + torch.exp(x))
Good:
    loss = F.softplus(x)         # torch.logsumexp for the log of a sum, torch.softmax for a ratio
Not this:
    If losses and weights had been growing for some steps, the step was too large: step_too_large. If the
    loss does not use the infinity, see unselected_branch.
Source:
    GRIST ID_62/63, ID_17; pyg#500; NeMo multi_similarity_loss.py:80-86.
"""

from __future__ import annotations

import math

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK221"
FAMILY: Family = "range"


def judge(case: Case) -> Cause | None:
    """An infinity out of an exponential with finite input."""
    operation = next((o for o in evidence.births(case) if _is_exponential(o) and evidence.overflowed(o)), None)
    origin = evidence.born(case)
    if operation is None or origin is None or (evidence.in_backward(origin) and not evidence.absorbed(origin)):
        return None
    received = operation.inputs[0]
    limits = limits_of(evidence.dtype_of(operation))
    bound = f"; it overflows {evidence.dtype_of(operation)} above {number(_bound(operation))}" if limits else ""
    where = words.at(origin) if operation is origin.operation else ""
    return Cause(
        name="exp_overflow",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)} received up to {number(received.magnitude)}{where}"
        f"{words.cite(operation)}{bound}{_became_nan(case, operation)}.",
        evidence=(words.tensor(received),),
        confidence=0.75 if evidence.in_backward(origin) else 0.87,
        advice=_advice(case, operation),
    )


def _is_exponential(operation: Operation) -> bool:
    """An exponential, or a number to the power of a tensor."""
    if not operation.inputs:
        return False
    is_power = evidence.base(operation) == "pow" and operation.inputs[0].name == "exponent"
    return is_power or evidence.base(operation) in evidence.EXPONENTIALS


def _bound(operation: Operation) -> float:
    """The largest argument with a finite result."""
    limits = limits_of(evidence.dtype_of(operation))
    above = limits.exp_overflows_above if limits is not None else 0.0
    return above / math.log(2.0) if evidence.base(operation) == "exp2" else above


def _became_nan(case: Case, operation: Operation) -> str:
    """Where the infinity turned into NaN."""
    later = next((link.operation for link in case.chain if link.role == "became nan"), None)
    return (
        f"; the infinity became NaN in {evidence.base(later)}{words.cite(later, unless=operation)}"
        if later is not None
        else ""
    )


def _advice(case: Case, operation: Operation) -> str:
    """The stable form that fits what is done with the exponential."""
    source = operation.place.source if operation.place is not None else ""
    later = {evidence.base(link.operation) for link in case.chain}
    if later & evidence.LOGARITHMS or "log" in source.replace("logvar", "").replace("log_var", ""):
        return "Use softplus(x) for log(1 + exp(x)) and torch.logsumexp for the log of a sum of exponentials."
    if "div" in later or "/" in source:
        return "Use torch.softmax, or sigmoid of the difference of two channels: both are safe at any size."
    return (
        "Take the exponential's argument into bounds before exp: c * tanh(s / c) or a clamp for a log-scale, "
        "log_softmax, logsumexp or softplus where a logarithm follows."
    )
