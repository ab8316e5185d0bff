"""A parameter was never given a value.

What you see:
    NaN or a huge loss in the very first step, in some runs and not in others.
Why:
    torch.empty and torch.FloatTensor(n, m) hand out memory with whatever lay in it: often zeros, sometimes
    NaN or 1e38. Nothing in a Parameter initialises it.
Bad:
    self.weight = torch.nn.Parameter(torch.FloatTensor(n, m))
Good:
    self.weight = torch.nn.Parameter(torch.empty(n, m)); torch.nn.init.xavier_uniform_(self.weight)
Not this:
    A parameter that goes bad later was made so by an update (state_already_bad names the step). A
    checkpoint that was loaded bad looks the same at step 0.
Source:
    AGCRN#12; pytorch-crf#1; pytorch-GAT#11; pytorch_convNd#6.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Leaf
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, history, words

CODE = "EK252"
FAMILY: Family = "dynamics"

_GARBAGE = 1e10  # no initialisation puts a weight there


def judge(case: Case) -> Cause | None:
    """A parameter that is non-finite, or absurdly large, before the first update."""
    if case.step != 0:
        return None
    parameter = _bad_parameter(case)
    if parameter is None:
        return None
    stats = parameter.stats
    holds = (
        f"holds {stats.num_nonfinite:,} non-finite of {words.plural(stats.numel, 'element')}"
        if stats.num_nonfinite
        else f"reaches {number(stats.magnitude)}"
    )
    used = words.cite(case.origin.operation) if case.origin is not None else ""
    return Cause(
        name="uninitialised_parameter",
        code=CODE,
        family=FAMILY,
        text=f"{words.leaf(parameter)} {holds} before the first update{used}: it was never initialised.",
        evidence=(words.tensor(stats),),
        confidence=0.9,
        advice="Initialise it in the constructor with torch.nn.init. To find every such tensor, run one "
        "step with torch.use_deterministic_algorithms(True), which fills uninitialised memory with NaN.",
    )


def _bad_parameter(case: Case) -> Leaf | None:
    """The parameter of the origin, else one that is non-finite, else an absurdly large one."""
    source = case.origin.leaf if case.origin is not None else None
    if source is not None:
        return source if source.kind == "parameter" and source.stats.num_nonfinite else None
    found = next((e for e in case.leaves if e.kind == "parameter" and e.stats.num_nonfinite), None)
    if found is not None and case.origin is None:
        return found
    origin, largest = evidence.born(case), history.largest(case, "parameter")
    if origin is None or largest is None or evidence.overflow(origin) is None:
        return None
    return largest if largest.stats.magnitude >= _GARBAGE else None
