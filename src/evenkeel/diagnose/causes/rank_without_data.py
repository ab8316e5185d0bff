"""A rank's share of the batch, or of what counts in it, is empty.

What you see:
    0/0 in a step in which this rank got no sample, no valid label or no positive; the other ranks are healthy, and
    have the NaN from it a moment later.
Why:
    A sampler hands out unequal shares, or a batch is filtered on each rank. A mean over nothing is 0/0, and a count
    that was summed over all ranks is 0 only when no rank has anything.
Bad:
    loss = error[mask].sum() / mask.sum()                            # on each rank, then averaged by DDP
Good:
    count = mask.sum(); dist.all_reduce(count)                       # over all ranks
    loss = error[mask].sum() * dist.get_world_size() / count.clamp(min=1)      # DDP averages: the mean over all
Not this:
    Without another rank in sight an empty mask or count is empty_reduction. A rank that merely receives the NaN is
    received_from_rank.
Source:
    transformers PR#34191; Megatron-LM#7452 (means of unequal shares); cosmos-rl#155 (nothing to average over).
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Leaf, Operation
from evenkeel.diagnose import evidence, lineage, words

CODE = "EK282"
FAMILY: Family = "distributed"


def judge(case: Case) -> Cause | None:
    """0/0 over an empty batch, or by a count that came out of a collective."""
    origin = evidence.born(case)
    if origin is None or evidence.in_backward(origin) or not _is_empty(origin.operation):
        return None
    collective = _collective(case, origin.operation)
    batch = next((e for e in case.leaves if e.kind in {"batch", "external"} and 0 in e.stats.shape), None)
    if collective is None and batch is None:
        return None
    shared = f"; {evidence.base(collective)}{words.cite(collective)} took part in it" if collective is not None else ""
    empty = f"{words.leaf(batch)} has the shape {list(batch.stats.shape)}" if batch else "there is nothing to count"
    return Cause(
        name="rank_without_data",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(origin.operation)} divided by 0{words.cite(origin.operation)}: {empty}{shared}.",
        evidence=_evidence(origin.operation, collective, batch),
        confidence=0.96 if collective is not None or _is_wrapped(case) else 0.4,
        advice=(
            "Sum the counts over all ranks and divide the sum of the losses by that, clamped to at least 1: a rank "
            "without data then contributes 0. Have every rank call backward and every collective all the same, so "
            "that none waits for it; drop_last and DistributedSampler make the shares equal."
        ),
    )


def _collective(case: Case, operation: Operation) -> Operation | None:
    """The collective that the denominator came out of; where nothing was reduced, any that led there."""
    if evidence.base(operation) != "div":
        return next((o for o in case.upstream if o.is_collective), None)
    below = next(lineage.arguments(operation, "other"), None)
    return None if below is None else lineage.nearest(case, operation, below[0], _is_collective)


def _is_collective(operation: Operation) -> bool:
    return operation.is_collective


def _is_wrapped(case: Case) -> bool:
    """Whether the model is inside DistributedDataParallel, which calls all that it holds `module.…`."""
    parameters = [e for e in case.leaves if e.kind == "parameter"]
    return bool(parameters) and all(e.name.startswith("module.") for e in parameters)


def _is_empty(operation: Operation) -> bool:
    """A reduction over no elements, or a division by exactly 0."""
    made_nan = any(stats.num_nonfinite for stats in operation.outputs) and evidence.is_finite(operation)
    below = evidence.denominator(operation)
    by_zero = evidence.base(operation) == "div" and (
        evidence.num_zeros(below) > 0 if below is not None else evidence.divides_by_integers(operation)
    )
    over_nothing = evidence.base(operation) != "div" and all(stats.numel == 0 for stats in operation.inputs)
    return made_nan and (by_zero or over_nothing)


def _evidence(operation: Operation, collective: Operation | None, batch: Leaf | None) -> tuple[str, ...]:
    told = [*operation.inputs, *(collective.outputs if collective else ()), *([batch.stats] if batch else ())]
    return tuple(words.tensor(stats) for stats in told)
