"""A state or its gradient grew with every repetition of one line until it overflowed.

What you see:
    inf out of a recurrent or very deep network, often with long sequences only; or a finite loss and infinite
    gradients, whose steps backwards in time are to blame.
Why:
    The same weights are applied again and again. If they stretch some direction by a factor of 3, a hundred
    repetitions stretch it by 3^100, and float32 ends at 3^80. Backwards the same product acts on the gradient, even
    where a bounded activation keeps the state itself small.
Bad:
    for t in range(num_steps): h = torch.relu(self.recurrent(h) + self.input(x[t]))
Good:
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)        # between backward and step
    torch.nn.init.orthogonal_(self.recurrent.weight)                # and a gated cell for long sequences
Not this:
    If weights or losses multiplied from step to step, it is step_too_large, which a recurrent network brings on
    sooner. An overflow that no repetition led up to is product_overflow.
Source:
    pytorch/examples PR#223; Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.place import Place
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, history, words

CODE = "EK255"
FAMILY: Family = "dynamics"

_FEWEST = 4  # repetitions in a row, each larger than the one before
_GROWTH = 1.2  # of each
_ALTOGETHER = 10.0
_LARGE = 1e3
_BEYOND_DATA = 1e10

Key = tuple[str, Place | None, str]


def judge(case: Case) -> Cause | None:
    """An overflow at the end of repetitions of one operation of one line, with results that rise throughout."""
    origin = evidence.born(case)
    if origin is None or not _overflows(evidence.acting(origin)):
        return None
    is_gradient = evidence.in_backward(origin) and not evidence.absorbed(origin)
    fed_by = [o for o in case.incoming if o.phase == "backward"] if is_gradient else case.upstream
    run = _longest_rise(fed_by)
    if len(run) < _FEWEST:
        return None
    sizes = [_size(operation) for operation in run]
    factor = statistics.median(after / before for before, after in itertools.pairwise(sizes))
    what = "The gradient" if is_gradient else "The state"
    return Cause(
        name="recurrent_growth",
        code=CODE,
        family=FAMILY,
        text=f"{what} grew {number(round(factor, 2))} times with each of the last {len(run)} repetitions of "
        f"{evidence.base(run[-1])}{words.cite(run[-1])}, from {number(sizes[0])} to {number(sizes[-1])}, until "
        f"{evidence.base(origin.operation)} overflowed {evidence.dtype_of(evidence.acting(origin))}{words.at(origin)}.",
        evidence=(
            f"largest result of each repetition: {', '.join(map(number, sizes))}",
            *(words.tensor(stats) for stats in evidence.acting(origin).inputs),
        ),
        confidence=_confidence(case),
        advice=(
            "Keep the repeated map from stretching: an orthogonal or identity initialisation of the recurrent weight, "
            "a gated cell, normalisation between repetitions; cut long sequences (truncated backpropagation); clip "
            "the gradient's norm between backward and step, and skip the step when that norm is not finite."
        ),
    )


def _confidence(case: Case) -> float:
    """Weights that grew, or a number far beyond any data, come before what multiplied them."""
    if history.growth(case.weight_peaks) >= history.CLEAR_GROWTH:
        return 0.91
    batch = history.largest(case, "batch")
    return 0.82 if batch is not None and batch.stats.magnitude >= _BEYOND_DATA else 0.94


def _overflows(operation: Operation) -> bool:
    """Whether something infinite, or inf - inf inside a sum, came out of finite numbers that were large."""
    bad = any(stats.num_nonfinite for stats in operation.outputs)
    return bad and evidence.is_finite(operation) and max((s.magnitude for s in operation.inputs), default=0.0) >= _LARGE


def _longest_rise(operations: Iterable[Operation]) -> Sequence[Operation]:
    """The longest series of repetitions whose results rise up to the last one."""
    groups: defaultdict[Key, list[Operation]] = defaultdict(list)
    for operation in operations:
        module = "".join("*" if c.isdigit() else c for c in operation.module)  # layers of one stack are repetitions
        groups[evidence.base(operation), operation.place, module].append(operation)
    return max(map(_rise, groups.values()), key=len, default=())


def _rise(group: Sequence[Operation]) -> Sequence[Operation]:
    """The end of a series, as far back as each result is clearly larger than the one before."""
    latest = sorted((o for o in group if o.place is not None), key=lambda o: o.index, reverse=True)
    rises = (_size(after) >= _GROWTH * _size(before) > 0.0 for after, before in itertools.pairwise(latest))
    run = latest[: 1 + sum(1 for _ in itertools.takewhile(bool, rises))]
    is_large = bool(run) and _size(run[0]) >= max(_LARGE, _ALTOGETHER * _size(run[-1]))
    return run[::-1] if is_large else ()


def _size(operation: Operation) -> float:
    return max((stats.magnitude for stats in operation.outputs), default=0.0)
