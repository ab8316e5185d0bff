"""Every cause of the catalogue is planted in three unlike models, in both precisions and passes, or says why not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from tests.grid.fault import BRAIN, WIDE
from tests.grid.faults import FAULTS
from tests.grid.further_faults import FURTHER
from tests.grid.models import MODELS
from tests.grid.runs import RUNS
from tests.grid.test_runs import PRECISIONS
from tests.grid.test_two_ranks import SHARED
from tests.grid.updates import UPDATES

from evenkeel.diagnose.catalogue import catalogue

NUM_CAUSES, FEWEST_MODELS = 58, 3
PASSES = ("forward", "backward")

WHY_NOT_BACKWARD = {
    "forward makes a NaN, which the loss shows before anything is differentiated": """
        all_targets_ignored constant_feature empty_reduction impossible_length outside_domain rank_without_data
        root_of_negative single_element_spread zero_times_infinity""",
    "its NaN is born in forward, also where only a gradient shows it": "fully_masked_row",
    "what a gradient is computed with was bad before": """
        loaded_bad nonfinite_input poisoned_average poisoned_buffer poisoned_optimizer_state state_already_bad
        uninitialised_parameter""",
    "the update is at fault, or the clipping before it": """
        centred_second_moment clip_by_infinite_norm optimizer_eps_in_half optimizer_update""",
    "in backward another cause is told by its own name: gradient_overflow_in_half": "half_overflow",
    "the slope at the 0 that is left is told as root_gradient_at_zero": "cancellation exp_underflow",
    "there the operation that made the value is told first, and this below it": "hidden_by_replacement",
    "the output of every model here saturates where an outlier comes in, and leaves no gradient to overflow": """
        missing_value_code outlier_input scale_mismatch""",
    "weights that grew overflow the loss of these runs first": "gradient_spike gradients_never_cleared step_too_large",
}
WHY_NOT_FORWARD = {
    "forward is finite, only the slope is not": """
        degenerate_decomposition distance_to_itself entropy_gradient_at_zero gradient_penalty_at_zero
        inverse_function_edge root_gradient_at_zero unselected_branch""",
    "in forward another cause is told by its own name: half_overflow": "gradient_overflow_in_half",
    "the phase is data, state or optimizer": """
        centred_second_moment clip_by_infinite_norm loaded_bad nonfinite_input optimizer_eps_in_half optimizer_update
        poisoned_average poisoned_optimizer_state state_already_bad uninitialised_parameter""",
}
WHY_NOT_FLOAT32 = {"an eps of 1e-8 is a number in float32": "optimizer_eps_in_half"}
WHY_NOT_BFLOAT16 = {
    "parameters, gradients and the optimizer's state are float32 under autocast": """
        centred_second_moment gradients_never_cleared optimizer_update poisoned_optimizer_state""",
    "an eps of 1e-8 is a number in bfloat16 too": "optimizer_eps_in_half",
}


def planted() -> Iterator[tuple[str, str, str, str]]:
    """Cause, phase, model and precision of every cell of every table."""
    for plant in (*FAULTS, *FURTHER, *SHARED, *UPDATES):
        yield from ((plant.cause, plant.phase, m, p) for m in plant.models for p in plant.precisions)
    for run in RUNS:
        yield from ((run.cause, run.phase, model, precision) for model in run.models for precision in PRECISIONS)


def excepted(reasons: dict[str, str]) -> list[str]:
    """The causes of a table of reasons."""
    return sorted(name for names in reasons.values() for name in names.split())


def rest(found: Iterable[str]) -> list[str]:
    """The causes of the catalogue that are not among these."""
    return sorted({rule.name for rule in catalogue()} - set(found))


def test_tables_were_read() -> None:
    """Before anything is said of what they hold: their sizes, and that every cell is of a model and cause there is."""
    cells = list(planted())
    assert [len(table) for table in (FAULTS, FURTHER, RUNS, SHARED, UPDATES)] == [33, 21, 19, 3, 5]
    assert len(cells) == 33 * 10 + 21 * 6 + 13 * 10 + 6 * 6 + 3 * 6 + 5 * 3
    assert len(catalogue()) == NUM_CAUSES
    assert {cause for cause, _, _, _ in cells} <= {rule.name for rule in catalogue()}
    assert {model for _, _, model, _ in cells} == set(MODELS)


def test_every_cause_is_planted_in_three_models() -> None:
    """In each phase in which it is planted at all."""
    models: dict[tuple[str, str], set[str]] = defaultdict(set)
    for cause, phase, model, _ in planted():
        models[cause, phase].add(model)
    assert rest(cause for cause, _ in models) == []
    assert {key: found for key, found in models.items() if len(found) < FEWEST_MODELS} == {}


def test_every_cause_is_planted_in_both_passes_or_says_why_not() -> None:
    """No reason outlives the gap that it is for."""
    found = {phase: {cause for cause, told, _, _ in planted() if told == phase} for phase in PASSES}
    assert rest(found["forward"]) == excepted(WHY_NOT_FORWARD)
    assert rest(found["backward"]) == excepted(WHY_NOT_BACKWARD)


def test_every_cause_is_planted_in_both_precisions_or_says_why_not() -> None:
    """The same of float32, and of bfloat16 autocast."""
    found = {wanted: {cause for cause, _, _, told in planted() if told == wanted} for wanted in (WIDE, BRAIN)}
    assert rest(found[WIDE]) == excepted(WHY_NOT_FLOAT32)
    assert rest(found[BRAIN]) == excepted(WHY_NOT_BFLOAT16)
