"""Near misses, confidences and sentences of the causes that lie in the run."""

from dataclasses import replace

import pytest
from tests.diagnose.build import INF, NAN, derivative, element, failing, leaf, op, scalar, tensor
from tests.diagnose.cases_of_runs import (
    HALF,
    SECOND,
    STEADY,
    WINS,
    accumulating,
    adam_in_half,
    bad_at,
    centred,
    counted,
    counted_over_ranks,
    half_gradient,
    in_update,
    made,
    reduced,
    repeated,
    repeated_backwards,
    replaced_after,
    spiked,
    unfilled,
    with_eps,
)

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause
from evenkeel.core.operation import Operation
from evenkeel.diagnose import lineage
from evenkeel.diagnose.rank import explain


def named(case: Case, name: str) -> Cause | None:
    """The cause of that name, where it speaks."""
    return next((cause for cause in explain(case) if cause.name == name), None)


def first(case: Case) -> str:
    """The name of the best explanation."""
    return explain(case)[0].name


# --- lineage


def test_arguments_of_a_list_are_found_together() -> None:
    """`tensor2` is one tensor, or a list of them."""
    fused = in_update("addcdiv", [tensor("self[0]", 1.0), tensor("tensor2[0]", 0.0), tensor("tensor2[1]", 2.0)])
    assert [position for position, _ in lineage.arguments(fused, "tensor2")] == [1, 2]
    assert [*lineage.arguments(fused, "tensor1")] == []


def test_maker_is_the_operation_of_that_index() -> None:
    """Leaves, and operations beyond those kept, have none."""
    case = centred(-1e-7)
    root = case.origin.operation
    assert lineage.maker(case, root, 0) == case.upstream[0]
    assert lineage.maker(case, case.upstream[0], 0) is None
    assert lineage.maker(case, made(root, 99), 0) is None


# --- updates


def test_centred_moment_by_subtraction() -> None:
    """An optimizer of one's own: v - m·m, and the root divides."""
    square = made(in_update("mul", [tensor("self", 3.0), tensor("other", 3.0)], (9.0,), line=5), None, None)
    sub = made(in_update("sub", [tensor("self", 9.0), tensor("other", 9.0)], (0.0,), line=6), None, 5)
    root = made(in_update("sqrt", [tensor("self", 0.0)], (0.0,), line=7), 6)
    div = made(in_update("div", [tensor("self", 3.0), tensor("other", 0.0)], (INF,)), None, 7)
    case = failing(div, element([3.0, 0.0], INF), kind="parameter", upstream=[root, sub, square])
    assert first(case) == "centred_second_moment"
    assert "came out as 0 where mean(g²) reaches 9" in explain(case)[0].text


def test_same_difference_in_a_loss_is_not_the_optimizer() -> None:
    """Only inside the update."""
    case = centred(-9.5e-7)
    forward = replace(case.origin.operation, phase="forward")
    assert named(replace(case, origin=replace(case.origin, operation=forward)), "centred_second_moment") is None


@pytest.mark.parametrize(("eps", "speaks"), [(1e-8, True), (1e-10, True), (1e-7, False), (1e-4, False)])
def test_eps_that_float16_holds_is_not_blamed(eps: float, *, speaks: bool) -> None:
    """The smallest number is 6e-8."""
    assert (named(adam_in_half(eps), "optimizer_eps_in_half") is not None) == speaks


def test_divisor_that_is_not_zero_is_not_blamed() -> None:
    """The eps is lost, and no division by 0 came of it."""
    case = adam_in_half(1e-8)
    update = case.origin.operation
    divisor = replace(update.inputs[2], min=0.5, max=0.5, num_zero=0)
    update = replace(update, inputs=(*update.inputs[:2], divisor))
    assert named(replace(case, origin=replace(case.origin, operation=update)), "optimizer_eps_in_half") is None


@pytest.mark.parametrize(("step", "names"), [(1, ("w.grad", "b.grad")), (30, ()), (30, ("b.grad",))])
def test_gradients_of_some_parameters_or_of_one_step_are_no_evidence(step: int, names: tuple[str, ...]) -> None:
    """Two optimizers clear for each other; a first gradient may be meant."""
    assert named(accumulating(names=names, step=step), "gradients_never_cleared") is None


def test_gradients_that_are_zero_were_cleared() -> None:
    """zero_grad(set_to_none=False) leaves zeros."""
    case = accumulating()
    cleared = [replace(e, stats=tensor(e.name, 0.0)) if e.kind == "gradient" else e for e in case.leaves]
    assert named(replace(case, leaves=tuple(cleared)), "gradients_never_cleared") is None


def test_teacher_without_gradients_does_not_count() -> None:
    """A parameter that no optimizer updates has no gradient to clear."""
    case = accumulating()
    teacher = replace(leaf("parameter", "teacher.w", 0.3), is_updated=False)
    assert first(replace(case, leaves=(*case.leaves, teacher))) == "gradients_never_cleared"


def test_old_gradients_without_growth_are_told_below() -> None:
    """What failed is then told first."""
    case = replace(accumulating(), losses=(3.0, 3.1, 2.9), weight_peaks=(1.0, 1.1, 1.0))
    assert first(case) == "product_overflow"
    assert named(case, "gradients_never_cleared").confidence == 0.45


# --- growth


def test_growth_of_a_gradient_is_told_as_such() -> None:
    """In backward what fed the derivative counts, zeros in it or not."""
    case = repeated_backwards()
    assert first(case) == "recurrent_growth"
    assert explain(case)[0].text.startswith("The gradient grew 6 times with each of the last 6 repetitions of mm")


@pytest.mark.parametrize("case", [repeated(3.0, times=3), repeated(3.0, last=500.0), repeated(1.15)])
def test_few_small_or_slow_repetitions_are_not_growth(case: Case) -> None:
    """Three layers, or a state of ordinary size, explain no overflow."""
    assert named(case, "recurrent_growth") is None


def test_repetitions_at_other_lines_are_not_growth() -> None:
    """A network whose layers stand on lines of their own is not repeated."""
    case = repeated(3.0)
    spread = [replace(o, place=replace(o.place, line=o.index)) for o in case.upstream]
    assert named(replace(case, upstream=tuple(spread)), "recurrent_growth") is None


def test_layers_of_one_stack_are_repetitions() -> None:
    """`layers.3` and `layers.4` are called by one line."""
    case = repeated(3.0)
    layers = [replace(o, module=f"layers.{o.index}") for o in case.upstream]
    assert first(replace(case, upstream=tuple(layers))) == "recurrent_growth"


def test_weights_that_grew_come_before_repetition() -> None:
    """Both are told, the step first."""
    case = replace(repeated(3.0), weight_peaks=(1.0, 9.0, 400.0))
    assert [cause.name for cause in explain(case)[:2]] == ["step_too_large", "recurrent_growth"]


def test_outlier_comes_before_the_layers_that_multiplied_it() -> None:
    """A number beyond any data needs no repetition to overflow."""
    case = replace(repeated(3.0), leaves=(leaf("batch", "batch", 2e22),))
    assert [cause.name for cause in explain(case)[:2]] == ["outlier_input", "recurrent_growth"]


def test_spike_names_step_factor_and_distance() -> None:
    """The sentence carries what a person needs to look the batch up."""
    text = explain(WINS["gradient_spike"])[0].text
    assert text.startswith(
        "The update of step 38, 2 steps before the failure, was made with gradients of norm 340, 340 "
    )
    assert "the loss rose from 1 to 3e9 after it" in text


@pytest.mark.parametrize(
    "norms",
    [
        (1.0, 340.0, 5.0, INF),  # too little before it to know what is usual
        (*STEADY, 15.0, 5.0, INF),  # not 20 times
        (*STEADY, 340.0, *([1.0] * 21), INF),  # too long ago
        (*STEADY, 2.0, 340.0),  # in the failing step itself
        (1.0, 90.0, 1.0, 90.0, 1.0, 90.0, 1.0, 91.0, 1.0),  # two losses in turn
        (),
    ],
)
def test_no_spike(norms: tuple[float, ...]) -> None:
    """Silent where the norms do not show it."""
    assert named(spiked(*norms), "gradient_spike") is None


def test_spike_without_consequence_is_told_below() -> None:
    """Clipped gradients may spike without harm."""
    case = spiked(*STEADY, 340.0, 1.0, INF, losses=(1.1, 1.0, 0.9, 1.0))
    assert first(case) == "product_overflow"
    assert named(case, "gradient_spike").confidence == 0.5


# --- state


def test_counter_of_batches_tells_a_loaded_state() -> None:
    """Even where the whole tensor is bad."""
    case = bad_at(0, "parameter", "model.body.weight", NAN, NAN)
    assert first(case) == "uninitialised_parameter"
    assert first(counted(case, 1234.0)) == "loaded_bad"
    assert "norm.num_batches_tracked is 1,234" in explain(counted(case, 1234.0))[0].text
    assert first(counted(case, 0.0)) == "uninitialised_parameter"


def test_bad_running_statistics_at_the_first_step_were_loaded() -> None:
    """Later they were poisoned."""
    assert first(bad_at(0, "buffer", "norm.running_var", NAN, 1.0)) == "loaded_bad"
    assert first(bad_at(9, "buffer", "norm.running_var", NAN, 1.0)) == "poisoned_buffer"


@pytest.mark.parametrize(
    ("last_good", "said"),
    [
        (None, "one of the steps 0 to 39 made it so"),
        (29, "all parameters were finite after step 29, so one of the steps 30 to 39 made it so"),
        (38, "all parameters were finite after step 38, so step 39 made it so"),
        (39, "all parameters were finite after step 39, so something wrote into it after that update"),
    ],
)
def test_bad_state_is_told_between_steps(last_good: int | None, said: str) -> None:
    """As far as somebody looked at the parameters."""
    case = replace(bad_at(40, "parameter", "model.body.weight", NAN, is_updated=True), last_good_state=last_good)
    assert first(case) == "state_already_bad"
    assert said in explain(case)[0].text


def test_average_is_told_apart_from_a_model_that_is_bad_itself() -> None:
    """A buffer beside parameters that follow is theirs; one beside trained ones is not."""
    case = bad_at(40, "buffer", "ema.norm.running_var", NAN, 1.0)
    beside = replace(leaf("parameter", "ema.norm.weight", 1.0), is_updated=False)
    assert first(replace(case, leaves=(*case.leaves, beside))) == "poisoned_average"
    trained = replace(beside, is_updated=True)
    assert first(replace(case, leaves=(*case.leaves, trained))) == "poisoned_buffer"
    assert first(bad_at(0, "parameter", "teacher.weight", NAN, 0.5, is_updated=False)) == "loaded_bad"


# --- precision


def test_loss_scale_is_named() -> None:
    """A power of 2 that the first product of backward brings in."""
    text = explain(WINS["gradient_overflow_in_half"])[0].text
    assert "what arrives reaches 1.9e6; the loss scale is 65,536 (train.py:12 in loss_fn)" in text


def test_a_missing_scaler_is_named() -> None:
    """Where the loss has another factor, or none; not where the way of the gradient is not known to its beginning."""
    case = WINS["gradient_overflow_in_half"]
    (scaled,) = case.incoming
    weighted = replace(scaled, inputs=(scaled.inputs[0], scalar("other", 1e6)), outputs=(scalar("out", 1e6),))
    assert "the factor of the loss is 1e6 (train.py:12 in loss_fn); no scaler took part" in told(case, weighted)
    assert told(case).partition(".\n")[0].endswith("what arrives reaches 1.9e6; no scaler took part.")
    other = replace(scaled, inputs=(tensor("self", 3.0, 2.0), scalar("other", 65536.0)))
    assert "scaler took part" not in told(case, *[replace(other, index=n) for n in range(40)])


def told(case: Case, *incoming: Operation) -> str:
    """What is said of a gradient that came this way."""
    return explain(replace(case, incoming=incoming))[0].text


def test_slope_at_a_singular_point_is_no_overflow() -> None:
    """1/0 is infinite in every dtype."""
    assert named(half_gradient(1.0, divides=True), "gradient_overflow_in_half") is None


def test_forward_overflow_stays_with_its_own_cause() -> None:
    """And a gradient is no forward result."""
    square = failing(op("mul", [tensor("self", 300.0, dtype=HALF)], (INF,)), element([300.0], INF))
    assert first(square) == "half_overflow"
    assert named(square, "gradient_overflow_in_half") is None
    assert named(WINS["gradient_overflow_in_half"], "half_overflow") is None


# --- ranks


def test_sum_that_may_have_overflowed_is_told() -> None:
    """A share of 2e38 from each of two ranks is too much; one of 0.3 is not."""
    assert "or the sum of all overflowed (float32 ends at 3.4e38)" in explain(reduced(2e38, INF, 0.1))[0].text
    assert "another rank's is not." in explain(reduced(0.3, INF, 0.1))[0].text
    assert "divide by the number of ranks" in explain(reduced(2e38, INF, 0.1))[0].advice


def test_collective_elsewhere_is_no_count_of_ranks() -> None:
    """Features that went through a collective, and a denominator that did not."""
    case = counted_over_ranks(is_shared=False)
    other = replace(op("allreduce", [tensor("tensors[0]", 1.0)], line=3), op="c10d.allreduce_.default")
    assert named(replace(case, upstream=(*case.upstream, other)), "rank_without_data") is None


@pytest.mark.parametrize(("prefix", "winner"), [("module.", "rank_without_data"), ("", "empty_reduction")])
def test_empty_batch_is_a_matter_of_ranks_where_there_are_some(prefix: str, winner: str) -> None:
    """In one process it is an empty reduction, and the batch is told below it."""
    mean = op("mean", [tensor("self", shape=(0, 4))], scalar("out", NAN))
    entered = [
        leaf("parameter", f"{prefix}weight", 0.3),
        replace(leaf("batch", "batch"), stats=tensor("x", shape=(0, 4))),
    ]
    causes = [cause.name for cause in explain(failing(mean, element([], NAN), leaves=entered))]
    assert causes[0] == winner
    assert {"rank_without_data", "empty_reduction"} <= set(causes)


# --- guards and memory


def test_replacement_behind_the_origin_is_told_below_it() -> None:
    """Where the value was born comes first; both lines are named."""
    causes = explain(replaced_after())
    assert [cause.name for cause in causes] == ["root_of_negative", "hidden_by_replacement"]
    assert "nan_to_num (train.py:11 in loss_fn) took 1 NaN away, so the loss stayed finite" in causes[1].text
    assert "was born in sqrt (train.py:10 in loss_fn)" in causes[1].text


def test_zero_that_stands_for_nan_is_the_replacements_fault() -> None:
    """log(nan_to_num(x)); with zeros of its own it is the logarithm's."""
    replacement = made(op("nan_to_num", [tensor("self", NAN, 2.0)], (0.0, 2.0), line=7), None)
    log = made(op("log", [tensor("self", 0.0, 2.0)], (-INF, 0.7)), 7)
    case = replace(failing(log, element([0.0], -INF), upstream=[replacement]), replaced=(replacement,))
    assert first(case) == "hidden_by_replacement"
    assert "the bad value came in from outside" in explain(case)[0].text
    several = replace(log, outputs=(tensor("out", -INF, -INF, -INF, 0.7),))
    assert first(replace(case, origin=replace(case.origin, operation=several))) == "log_of_nonpositive"


def test_largest_number_in_a_step_that_fails_otherwise_is_not_the_reason() -> None:
    """A logarithm of 0 has nothing to do with 3.4e38."""
    case = WINS["hidden_by_replacement"]
    log = made(op("log", [tensor("self", 3.4028e38, 0.0)], (88.0, -INF)), 7)
    origin = replace(case.origin, operation=log, elements=(element([0.0], -INF, (1,)),))
    assert first(replace(case, origin=origin)) == "log_of_nonpositive"


def test_guard_never_comes_first() -> None:
    """It does not make the value."""
    case = SECOND["guard_that_cannot_fire"]
    assert first(case) == "root_gradient_at_zero"
    assert "is false everywhere" in named(case, "guard_that_cannot_fire").text


@pytest.mark.parametrize(
    ("source", "function", "speaks"),
    [
        ("std = torch.sqrt(x.var()) + eps", "sqrt", True),
        ("return x / (v.sqrt() + 1e-8)", "sqrt", True),
        ("ratio = a / b + self.eps", "div", True),
        ("std = torch.sqrt(x.var() + eps)", "sqrt", False),
        ("ratio = a / (b + eps)", "div", False),
        ("y = torch.sqrt(v) + 1", "sqrt", False),
        ("y = torch.sqrt(v) + bias", "sqrt", False),
        ("y = torch.log(v) + eps", "sqrt", False),
        ("y = torch.sqrt(v) + (", "sqrt", False),
    ],
)
def test_eps_outside(source: str, function: str, *, speaks: bool) -> None:
    """Read from the line itself."""
    assert (named(with_eps(source, function), "guard_that_cannot_fire") is not None) == speaks


def test_eps_of_an_optimizer_stands_outside_on_purpose() -> None:
    """No gradient flows there."""
    case = with_eps("ratio = a / b + eps", "div")
    update = replace(case.origin.operation, phase="optimizer")
    assert named(replace(case, origin=replace(case.origin, operation=update)), "guard_that_cannot_fire") is None


@pytest.mark.parametrize(
    ("function", "values", "speaks"),
    [
        ("empty", (NAN, 1.0), True),
        ("new_empty", (3e38, 1.0), True),
        ("empty", (0.3, 1.0), False),
        ("zeros", (NAN, 1.0), False),
    ],
)
def test_unfilled_memory(function: str, values: tuple[float, float], *, speaks: bool) -> None:
    """Garbage, in memory of which nothing but its allocation is known."""
    assert (named(unfilled(function, *values), "uninitialised_memory") is not None) == speaks


def test_argument_that_beta_leaves_out_is_not_read() -> None:
    """baddbmm(torch.empty(…), q, k, beta=0) is common in attention."""
    handed_out = op("empty", [], [], line=6)
    inputs = [tensor("self", NAN), tensor("batch1", 3e38), tensor("batch2", 3e38)]
    product = made(op("baddbmm", inputs, (INF,), scalars=(0.0,)), 6, None, None)
    assert named(failing(product, upstream=[handed_out]), "uninitialised_memory") is None


def test_singular_slope_in_half_is_not_taken_for_an_overflow() -> None:
    """The derivative of a root at 0 in float16."""
    back = derivative("div", [tensor("self", 1.0, dtype=HALF), tensor("other", 0.0, dtype=HALF)], (INF,))
    root = op("sqrt", [tensor("self", 0.0, 4.0, dtype=HALF)], (0.0, 2.0))
    assert first(failing(root, element([1.0, 0.0], INF), back=back)) == "root_gradient_at_zero"
