"""For each cause a case that it must win, and a near miss at which it must stay silent."""

from tests.diagnose import rows
from tests.diagnose.build import INF, NAN, derivative, element, failing, leaf, link, op, scalar, tensor
from tests.diagnose.rows import BRAIN, HALF, ROWS

from evenkeel.core.case import Case


def row(name: str) -> Case:
    """The case of a public failure."""
    return ROWS[name][0]


def large(magnitude: float, dtype: str = "float32") -> Case:
    """A square that overflows."""
    square = op("mul", [tensor("self", magnitude, 1.0, dtype=dtype)], (INF, 1.0))
    return failing(square, element([magnitude], INF))


def with_batch(*magnitudes: float) -> Case:
    """A matrix product that overflows, in a step with these inputs."""
    mm = op("mm", [tensor("self", 1e25, 1.0), tensor("mat2", 1e20, 2e24)], (INF,))
    return failing(mm, leaves=[leaf("batch", f"batch[{i}]", 0.5, m) for i, m in enumerate(magnitudes)])


def entropy(p: float) -> Case:
    """xlogy(p, p) in backward."""
    back = derivative("div", [tensor("self", p), tensor("other", p)], (NAN,))
    return failing(
        op("xlogy", [tensor("self", p, 0.5), tensor("other", p, 0.5)], (p, -0.3)), element([p, p], NAN), back=back
    )


def buffer(name: str) -> Case:
    """A buffer that was bad when the step began."""
    running = leaf("buffer", name, NAN)
    return failing(op("batch_norm", [tensor("input", 1.0), running.stats], (NAN,)), phase="state", entering=running)


def weight(step: int) -> Case:
    """A parameter that was bad when the step began."""
    bad = leaf("parameter", "head.weight", NAN, 0.1)
    return failing(op("mm", [tensor("self", 1.0), bad.stats], (NAN,)), step=step, phase="state", entering=bad)


def softmax_of(*scores: float) -> Case:
    """A softmax that returns NaN."""
    return failing(op("softmax", [tensor("self", *scores)], (NAN,)))


def mean_of_one() -> Case:
    """A mean that returns an infinity because its input is that large."""
    return failing(op("mean", [tensor("self", 3e38, 3e38)], scalar("out", INF)))


def inverted(pivot: float, *values: float) -> Case:
    """inv_ex of XᵀX/n over two samples; `pivot` is LAPACK's INFO."""
    product = op("mm", [tensor("self", 1.0, shape=(3, 2)), tensor("mat2", 1.0, shape=(2, 3))], (1.0, 2.0), line=8)
    matrix = tensor("A", 1.0, 2.0, shape=(3, 3))
    results = [tensor("out[0]", *values, shape=(3, 3)), scalar("out[1]", pivot, dtype="int32")]
    inverse = op("linalg_inv_ex", [matrix], results, made_by=(8,))
    return failing(inverse, element([], values[0], (0, 0)), upstream=[product])


def gamma(function: str, received: float, result: float) -> Case:
    """A gamma function in forward."""
    return failing(op(function, [tensor("self", received, 2.0)], (result, 0.0)), element([received], result))


def logit(received: float, result: float) -> Case:
    """A logit in forward."""
    return failing(op("logit", [tensor("self", received, 0.5)], (result, 0.0)), element([received], result))


def power(base: float, exponent: float) -> Case:
    """A negative power in forward."""
    return failing(op("pow", [tensor("self", base, 4.0)], (INF, 0.5), scalars=(exponent,)), element([base], INF))


def length(*, of_gradient: bool) -> Case:
    """The derivative of sqrt(g²) at 0, where g was computed in backward, or not."""
    phase = "backward" if of_gradient else "forward"
    critic = op("mm", [tensor("self", 0.0, 1.0)], (0.0, 3.0), phase=phase, line=7)
    squared = op("pow", [tensor("self", 0.0, 3.0)], (0.0, 9.0), scalars=(2.0,), line=8, made_by=(7,))
    summed = op("sum", [tensor("self", 0.0, 9.0)], (0.0, 9.0), line=9, made_by=(8,))
    root = op("sqrt", [tensor("self", 0.0, 9.0)], (0.0, 3.0), made_by=(9,))
    back = derivative("div", [tensor("self", -1.0), tensor("other", 0.0)], (-INF,))
    return failing(root, element([-1.0, 0.0], -INF), back=back, upstream=[summed, squared, critic])


def distance(*, to_mean: bool = False) -> Case:
    """The derivative of sqrt(Σ(x - y)²) at x = y; `to_mean`: y is the mean of x."""
    other = op("mean" if to_mean else "mul", [tensor("self", 1.0, 6.0)], (1.0, 6.0), line=6)
    sub = op("sub", [tensor("self", 1.0, 6.0), tensor("other", 1.0, 6.0)], (-5.0, 5.0), line=7, made_by=(None, 6))
    squared = op("mul", [tensor("self", -5.0, 5.0)] * 2, (0.0, 25.0), line=8, made_by=(7, 7))
    summed = op("sum", [tensor("self", 0.0, 25.0)], (0.0, 25.0), line=9, made_by=(8,))
    root = op("sqrt", [tensor("self", 0.0, 25.0)], (0.0, 5.0), made_by=(9,))
    back = derivative("div", [tensor("self", 0.1), tensor("other", 0.0)], (INF,))
    before = [summed, squared, sub, other]
    return failing(root, element([0.1, 0.0], INF, (1, 1)), back=back, upstream=before)


def quotient(above: float, below: float, dtype: str = "float32") -> Case:
    """A division that overflows."""
    inputs = [tensor("self", above, 1.0, dtype=dtype), tensor("other", below, 1.0, dtype=dtype)]
    return failing(op("div", inputs, (INF, 1.0)), element([above, below], INF))


def normalised(low: float, high: float = 0.0) -> Case:
    """exp(x) / exp(x).sum() where the sum is 0; `high`: the largest exponential."""
    exp = op("exp", [tensor("self", low, low)], (0.0, high), line=8)
    summed = op("sum", [tensor("self", 0.0, high)], scalar("out", 0.0), line=9, made_by=(8,))
    inputs = [tensor("self", 0.0, high), scalar("other", 0.0)]
    return failing(op("div", inputs, (NAN, NAN), made_by=(8, 9)), element([0.0, 0.0], NAN), upstream=[exp, summed])


def spread(*values: float) -> Case:
    """A std over the rows of one column, which is NaN."""
    rows = tensor("self", *values, shape=(len(values), 1))
    return failing(op("std", [rows], tensor("out", NAN)), element([], NAN))


def labelled(*, num_targets: int) -> Case:
    """A mean of cross_entropy that is NaN."""
    target = tensor("target", *[-100.0] * num_targets, dtype="int64")
    inputs = [tensor("self", *[-0.7] * num_targets), target]
    return failing(op("nll_loss", inputs, [scalar("out[0]", NAN), scalar("out[1]", 0.0)], api="cross_entropy"))


def aligned(lowest: float) -> Case:
    """ctc_loss that is infinite for one of two samples."""
    lengths = [tensor("input_lengths", 4.0, 5.0, dtype="int64"), tensor("target_lengths", 3.0, 2.0, dtype="int64")]
    inputs = [tensor("log_probs", lowest, -0.1, shape=(5, 2, 4)), *lengths]
    return failing(op("ctc_loss", inputs, [tensor("out[0]", INF, 11.2), tensor("out[1]", -INF)]), element([], INF))


WINS: dict[str, Case] = {
    "log_of_nonpositive": row("G04"),
    "division_by_zero": row("P08"),
    "root_of_negative": row("U06"),
    "outside_domain": failing(op("acos", [tensor("self", 1.0000001, 0.5)], (NAN, 1.0)), element([1.0000001], NAN)),
    "zero_times_infinity": row("U18"),
    "singular_matrix": inverted(3.0, NAN, INF),
    "gamma_pole": gamma("digamma", -2.0, NAN),
    "infinite_at_bound": logit(1.0, INF),
    "power_of_zero": power(0.0, -0.5),
    "root_gradient_at_zero": row("G14"),
    "gradient_penalty_at_zero": length(of_gradient=True),
    "distance_to_itself": distance(),
    "unselected_branch": row("P02"),
    "inverse_function_edge": row("U12"),
    "fully_masked_row": row("P14"),
    "degenerate_decomposition": row("P16"),
    "entropy_gradient_at_zero": entropy(0.0),
    "exp_overflow": row("G12"),
    "product_overflow": large(1e25),
    "half_overflow": large(300.0, HALF),
    "half_underflow": row("U50"),
    "mask_constant_overflow": row("U46"),
    "saturated_inverse": row("U16"),
    "cancellation": row("U36 below 0"),
    "tiny_denominator": quotient(300.0, 1e-6, HALF),
    "exp_underflow": normalised(-120.0),
    "empty_reduction": row("U30"),
    "constant_feature": row("U38"),
    "single_element_spread": spread(2.0),
    "all_targets_ignored": row("P18"),
    "nonfinite_input": row("U40"),
    "outlier_input": with_batch(2e22),
    "impossible_length": aligned(-10.0),
    "missing_value_code": with_batch(1e20),
    "step_too_large": row("T04"),
    "uninitialised_parameter": row("U42"),
    "optimizer_update": row("U52"),
    "state_already_bad": weight(step=40),
    "poisoned_buffer": buffer("norm.running_var"),
    "clip_by_infinite_norm": row("P20"),
    "not_reproduced": failing(None, reproduced=False),
    "compiled_only": failing(None, only_compiled=True),
    "unexplained": failing(op("my_kernel", [tensor("self", 1.0)], (NAN,))),
}

# Explains how an overflow came about, so it stands below the overflow itself.
SECOND: dict[str, Case] = {"scale_mismatch": with_batch(5e3, 2.0)}

POSITIVE_LOG = op("log", [tensor("self", 0.5, 1.0)], (-0.7, 0.0))
GENTLE_CLAMP = op("clamp", [tensor("self", 0.0, 1.0, dtype=BRAIN)], (0.01, 0.99), scalars=(0.01, 0.99), line=9)

SILENT: dict[str, Case] = {
    "log_of_nonpositive": failing(POSITIVE_LOG),
    "division_by_zero": failing(
        op("div", [tensor("self", 3e38), tensor("other", 1e-3)], (INF,)), element([3e38, 1e-3], INF)
    ),
    "root_of_negative": failing(op("pow", [tensor("self", -3e30)], (INF,), scalars=(2.0,)), element([-3e30], INF)),
    "outside_domain": logit(1.0, INF),
    "zero_times_infinity": row("U08"),
    "singular_matrix": inverted(0.0, -1.0, 2.0),
    "gamma_pole": gamma("lgamma", 1e37, INF),
    "infinite_at_bound": logit(1.5, NAN),
    "power_of_zero": power(1e-30, -2.0),
    "gradient_penalty_at_zero": length(of_gradient=False),
    "distance_to_itself": distance(to_mean=True),
    "root_gradient_at_zero": failing(
        op("sqrt", [tensor("self", 1e-3, 4.0)], (0.03, 2.0)),
        back=derivative("div", [tensor("self", 3e38), tensor("other", 0.06)], (INF,)),
    ),
    "unselected_branch": row("G14"),
    "inverse_function_edge": rows.edge("acos", 0.9, 0.5),
    "fully_masked_row": softmax_of(-INF, NAN),
    "degenerate_decomposition": rows.root_at_zero("sqrt"),
    "entropy_gradient_at_zero": entropy(0.3),
    "exp_overflow": row("T04"),
    "product_overflow": row("G06"),
    "half_overflow": row("U46"),
    "half_underflow": failing(
        op("log", [tensor("self", 0.0, 1.0, dtype=BRAIN)], (-INF, 0.0)), element([0.0], -INF), upstream=[GENTLE_CLAMP]
    ),
    "mask_constant_overflow": large(300.0, HALF),
    "saturated_inverse": row("G02"),
    "cancellation": row("U06"),
    "tiny_denominator": quotient(1e30, 1e-9),
    "exp_underflow": normalised(-INF, 0.0),
    "empty_reduction": mean_of_one(),
    "constant_feature": row("P08"),
    "single_element_spread": spread(3e38, -3e38),
    "all_targets_ignored": labelled(num_targets=0),
    "nonfinite_input": weight(step=40),
    "scale_mismatch": with_batch(5.0, 2.0),
    "outlier_input": with_batch(200.0),
    "impossible_length": aligned(-INF),
    "missing_value_code": with_batch(1.1e20),
    "step_too_large": large(1e25),
    "uninitialised_parameter": weight(step=40),
    "optimizer_update": row("P08"),
    "state_already_bad": row("U40"),
    "poisoned_buffer": buffer("position_table"),
    "clip_by_infinite_norm": row("U18"),
    "not_reproduced": row("G04"),
    "compiled_only": failing(None, reproduced=False),
}

# A mask of -inf that came with the batch, or lies in a constant, is no bad input.
MASK_IN_BATCH: Case = failing(
    op("softmax", [tensor("self", -INF, -INF)], (NAN, NAN)),
    entering=leaf("batch", "mask", -INF, 0.0),
    chain=[link("became nan", op("softmax"))],
)
