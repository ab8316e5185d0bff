"""The gradients of earlier steps were still there and were added to.

What you see:
    Losses that swing and grow although the rate is small, without any NaN for a long time; each update is larger
    than the one before.
Why:
    backward adds to whatever .grad holds. Without zero_grad the update uses the sum of the gradients of all steps so
    far, which acts like momentum that never decays.
Bad:
    for x, y in loader: loss_fn(model(x), y).backward(); optimizer.step()
Good:
    for x, y in loader: optimizer.zero_grad(); loss_fn(model(x), y).backward(); optimizer.step()
Not this:
    Accumulation over several batches begins each update with cleared gradients. Two optimizers that leave gradients
    for each other to clear concern only a part of the parameters.
Source:
    TrainCheck workload stackoverflow-60335387; Paddle#67895.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Leaf
from evenkeel.core.words import extent
from evenkeel.diagnose import evidence, history, masks, words

CODE = "EK257"
FAMILY: Family = "dynamics"

_FEWEST_STEPS = 2  # a first gradient may have been made on purpose before the loop


def judge(case: Case) -> Cause | None:
    """Every parameter that was trained in the step began it with a gradient of its own that is not 0."""
    old = {leaf.name.removesuffix(".grad"): leaf for leaf in case.leaves if leaf.kind == "gradient"}
    trained = [e for e in case.leaves if e.kind == "parameter" and e.is_updated is not False]
    if case.step < _FEWEST_STEPS or not trained or not all(_holds_something(old.get(e.name)) for e in trained):
        return None
    largest = max(old.values(), key=lambda leaf: leaf.stats.magnitude)
    grown = _growth(case)
    return Cause(
        name="gradients_never_cleared",
        code=CODE,
        family=FAMILY,
        text=f"Step {case.step} began with gradients of earlier steps in all {words.plural(len(trained), 'parameter')} "
        f"that it trained ({words.leaf(largest)} spans {extent(largest.stats)}), and backward added to "
        f"them{grown}.",
        evidence=(
            *(words.tensor(old[e.name].stats) for e in trained),
            f"losses before this step: {words.history(case.losses)}",
        ),
        confidence=0.94 if grown and _fails_by_size(case) else 0.45,
        advice=(
            "Call optimizer.zero_grad() once for each update, before the first backward of that update. If batches are "
            "accumulated on purpose, clear the gradients after each step."
        ),
    )


def _holds_something(leaf: Leaf | None) -> bool:
    return leaf is not None and leaf.stats.magnitude > 0.0


def _growth(case: Case) -> str:
    """What the sum of all gradients has brought about so far."""
    if history.growth(case.losses) >= history.CLEAR_GROWTH:
        return f"; the losses grew ({words.history(case.losses)})"
    if history.growth(case.weight_peaks) >= history.CLEAR_GROWTH:
        return f"; the largest weight grew ({words.history(case.weight_peaks)})"
    return ""


def _fails_by_size(case: Case) -> bool:
    """Whether the failure is one that growth brings about: an overflow, or a log at its edge."""
    origin = evidence.born(case)
    if origin is None:
        return False
    overflow = evidence.overflow(origin)
    by_size = overflow is not None and masks.overflowed_mask(overflow) is None
    return by_size or evidence.base(origin.operation) in evidence.LOGARITHMS
