"""What training started from was not finite: a checkpoint, or an initialisation.

What you see:
    The very first step fails, each time and at the same parameter or buffer. Before, the run was continued from a
    checkpoint, or the weights came from another model.
Why:
    The run that wrote the checkpoint had gone bad by then: the loop saves every so often and looks at nothing. A
    conversion to float16 turns weights above 65,504 to inf. An initialisation divides by a size that is 0.
Bad:
    model.load_state_dict(torch.load("last.pt"))                 # saved after the update that spoiled it
Good:
    state = torch.load("last.pt", weights_only=True)
    bad = [name for name, value in state.items() if not value.isfinite().all()]        # has to be empty
Not this:
    A parameter that nobody gave a value holds memory as it was: uninitialised_parameter. A later step is
    state_already_bad.
Source:
    pocket-tts#262; open_lm#7; ultralytics#24307, #24731; OneTrainer#1147 (checkpoints with NaN replace good ones).
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Leaf
from evenkeel.core.stats import TensorStats
from evenkeel.core.words import extent, nonfinite, number
from evenkeel.diagnose import words

CODE = "EK262"
FAMILY: Family = "state"

_STATE = frozenset({"parameter", "buffer"})
_SMALLEST_WEIGHT, _LARGEST_WEIGHT = 1e-3, 1e3  # where the largest entry of a tensor in use lies


def judge(case: Case) -> Cause | None:
    """A parameter or buffer that is not finite before the first step."""
    source = _bad_state(case)
    if case.step != 0 or source is None:
        return None
    counter = _counted(case)
    used = words.cite(case.origin.operation) if case.origin is not None else ""
    where = f"; first used{used}" if used else ""
    return Cause(
        name="loaded_bad",
        code=CODE,
        family=FAMILY,
        text=f"{words.leaf(source)} held {nonfinite(source.stats)} among {words.plural(source.stats.numel, 'element')} "
        f"when training began{_rest(source.stats)}{_age(counter)}{where}.",
        evidence=tuple(words.tensor(e.stats) for e in case.leaves if e.kind in _STATE and e.stats.num_nonfinite),
        confidence=_confidence(source, is_counted=counter is not None),
        advice=(
            "Look through everything that is loaded before the first step, value.isfinite().all() for each entry, and "
            "go back to a checkpoint that passes. Have the loop look before it saves, and never let a bad state "
            "replace the last good one. If nothing was loaded, look at the initialisation of this tensor."
        ),
    )


def _bad_state(case: Case) -> Leaf | None:
    """The leaf of the origin, or, where no operation was found, any that is bad."""
    if case.origin is not None:
        found = [case.origin.leaf] if case.origin.leaf is not None else []
    else:
        found = list(case.leaves)
    return next((e for e in found if e.kind in _STATE and e.stats.num_nonfinite), None)


def _counted(case: Case) -> Leaf | None:
    """A counter of batches that is not 0 before the first step: this state has been trained."""
    counters = (e for e in case.leaves if e.kind == "buffer" and e.name.endswith("num_batches_tracked"))
    return next((e for e in counters if e.stats.min), None)


def _confidence(source: Leaf, *, is_counted: bool) -> float:
    """Memory that was never written is seldom bad in a few entries among proper weights."""
    if is_counted:
        return 0.95
    if source.kind == "buffer":
        return 0.94
    return 0.91 if _rest(source.stats) else 0.6


def _rest(stats: TensorStats) -> str:
    """What the other entries are, where they look like weights in use."""
    if _SMALLEST_WEIGHT <= stats.magnitude <= _LARGEST_WEIGHT and not stats.num_zero:
        return f", while the others are proper numbers ({extent(stats)})"
    return ""


def _age(counter: Leaf | None) -> str:
    if counter is None or counter.stats.min is None:
        return ""
    return f"; {counter.name} is {number(counter.stats.min)}, so this state comes from earlier training"
