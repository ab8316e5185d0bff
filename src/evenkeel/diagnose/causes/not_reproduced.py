"""The step was run again and was healthy, or failed otherwise.

What you see:
    A bad loss or gradient that does not come back when the same step is replayed.
Why:
    Something that evenkeel cannot rewind took part: a failing memory cell or processor, a race between
    streams or threads, memory that was read before it was written, or a loop that takes its data in a way
    of its own (a global array and a counter, a socket, the clock).
Bad:
    x = torch.empty(n); x[mask] = y[mask]; loss = f(x)     # the rest of x is whatever lay in memory
Good:
    x = torch.zeros(n); x[mask] = y[mask]; loss = f(x)
Not this:
    A failure that does come back is explained by the operation that made it.
Source:
    Megatron-LM's distinction of correct, transient and persistent results.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.words import number
from evenkeel.diagnose import words

CODE = "EK298"
FAMILY: Family = "hardware"


def judge(case: Case) -> Cause | None:
    """The replay did not repeat the symptom, not even but for rounding."""
    if case.reproduced or case.obstacle:  # what could not be run again has shown nothing
        return None
    value = f" ({number(case.symptom.value)})" if case.symptom.value is not None else ""
    seen = f"{case.symptom.kind} {case.symptom.name}".strip()
    outcome = "was healthy" if case.origin is None else "failed in another way"
    again = _repeats(case)
    return Cause(
        name="not_reproduced",
        code=CODE,
        family=FAMILY,
        text=f"The bad {seen}{value} of step {case.step} did not come back: the replay of the step {outcome}.",
        evidence=(
            *again,
            "possible: a fault of the hardware, a race, or memory that was never initialised",
            "possible: data that the loop takes in a way that cannot be rewound",
        ),
        confidence=0.9 if case.origin is None else 0.3,
        advice=(
            "Draw the data through a DataLoader or guard.batches, so that the step can be replayed. Then "
            "run once with torch.use_deterministic_algorithms(True), which also fills uninitialised memory "
            "with NaN; if the failure moves between runs on one machine and never shows on another, test "
            "that machine's memory."
        ),
    )


def _repeats(case: Case) -> tuple[str, ...]:
    """What further repetitions showed."""
    if not case.repeats:
        return ()
    failed, made = sum(case.repeats), words.plural(len(case.repeats), "time")
    outcome = (
        f"it failed {words.plural(failed, 'time')}, so it comes and goes" if failed else "it was healthy each time"
    )
    return (f"made again unchanged, {made}: {outcome}",)
