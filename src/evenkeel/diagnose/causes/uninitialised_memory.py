"""A tensor was read that nobody had written.

What you see:
    NaN or absurd numbers in some runs and not in others, in a tensor that the step makes itself; with
    torch.use_deterministic_algorithms(True) they come in each run.
Why:
    torch.empty hands out memory with whatever lay in it: often zeros, sometimes NaN or 1e38. A buffer of which only a
    part is filled, or that is filled in one branch only, passes the rest on.
Bad:
    weights = torch.empty_like(error); weights[valid] = 1.0; loss = (weights * error).mean()
Good:
    weights = torch.zeros_like(error); weights[valid] = 1.0; loss = (weights * error).mean()
Not this:
    A parameter that was never given a value is uninitialised_parameter. A failure that does not come back at all is
    not_reproduced.
Source:
    The documentation of torch.empty and of torch.utils.deterministic.fill_uninitialized_memory.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.core.words import nonfinite, number
from evenkeel.diagnose import evidence, lineage, words

CODE = "EK296"
FAMILY: Family = "hardware"

_UNFILLED = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"})
_GARBAGE = 1e10  # nothing that is computed from data in use comes near
_ADVICE = (
    "Make it with torch.zeros or torch.full, or fill all of it before it is read. To find every such tensor, "
    "run one step with torch.use_deterministic_algorithms(True), which fills unwritten memory with NaN."
)
_ADDS = frozenset({"addmm", "addmv", "baddbmm", "addbmm"})


def judge(case: Case) -> Cause | None:
    """The failing operation read memory that was handed out unfilled and not written since."""
    if case.fails_when_filled and not any(case.repeats):
        return _shown_by_filling(case)
    origin = evidence.born(case)
    if origin is None:
        return None
    operation = evidence.acting(origin)
    found = next((pair for i in range(len(operation.inputs)) if (pair := _unwritten(case, operation, i))), None)
    if found is None:
        return None
    stats, made = found
    holds = nonfinite(stats) if stats.num_nonfinite else f"numbers of up to {number(stats.magnitude)}"
    return Cause(
        name="uninitialised_memory",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)}{words.cite(origin.operation)} read {holds} among "
        f"{words.plural(stats.numel, 'element')} of memory that {evidence.base(made)}{words.cite(made)} handed out and "
        f"nothing has written to since{words.at(origin)}.",
        evidence=(words.tensor(stats),),
        confidence=0.93,
        advice=_ADVICE,
    )


def _shown_by_filling(case: Case) -> Cause:
    """The symptom comes and goes with what lies in memory."""
    return Cause(
        name="uninitialised_memory",
        code=CODE,
        family=FAMILY,
        text=f"Step {case.step} reads memory that nothing wrote to: made again unchanged it was healthy, "
        "and with NaN in all memory that torch.empty and its like hand out it fails.",
        evidence=(f"made again unchanged, {words.plural(len(case.repeats), 'time')}: healthy each time",),
        confidence=0.92,
        advice=_ADVICE,
    )


def _unwritten(case: Case, operation: Operation, position: int) -> tuple[TensorStats, Operation] | None:
    """An argument that holds garbage, and the operation that only allocated it."""
    stats, made = operation.inputs[position], lineage.maker(case, operation, position)
    is_garbage = stats.num_nonfinite > 0 or stats.magnitude >= _GARBAGE
    is_left_out = evidence.base(operation) in _ADDS and position == 0 and 0.0 in operation.scalars  # beta=0
    if made is None or evidence.base(made) not in _UNFILLED or not is_garbage or is_left_out:
        return None
    return stats, made
