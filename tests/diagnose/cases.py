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


WINS: dict[str, Case] = {
    "log_of_nonpositive": row("G04"),
    "division_by_zero": row("P08"),
    "root_of_negative": row("U06"),
    "outside_domain": failing(op("acos", [tensor("self", 1.0000001, 0.5)], (NAN, 1.0)), element([1.0000001], NAN)),
    "zero_times_infinity": row("U18"),
    "root_gradient_at_zero": row("G14"),
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
    "empty_reduction": row("U30"),
    "constant_feature": row("U38"),
    "nonfinite_input": row("U40"),
    "outlier_input": with_batch(2e22),
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
    "outside_domain": rows.edge("acos", 1.0, 0.5),
    "zero_times_infinity": row("U08"),
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
    "empty_reduction": mean_of_one(),
    "constant_feature": row("P08"),
    "nonfinite_input": weight(step=40),
    "scale_mismatch": with_batch(5.0, 2.0),
    "outlier_input": with_batch(200.0),
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
