"""Recognise what gradient clipping did to a bad gradient."""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.operation import Operation

_CLIPS_BY_NORM = ("clip_grad_norm", "clip_grads_with_norm")


def bad_clip(case: Case) -> Operation | None:
    """The operation inside a clipping by norm in which the bad value was born or became NaN."""
    candidates = [case.origin.operation] if case.origin is not None else []
    candidates += [link.operation for link in case.chain if link.role in {"nan born", "became nan"}]
    return next((o for o in candidates if o.api.lstrip("_").startswith(_CLIPS_BY_NORM)), None)
