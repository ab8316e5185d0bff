"""Public failures as the trace shows them: a case for every row that becomes non-finite, with its families."""

from tests.diagnose.build import INF, NAN, derivative, element, failing, leaf, link, op, scalar, tensor

from evenkeel.core.case import Case

HALF = "float16"
BRAIN = "bfloat16"


def log_of_softmax(*, low: float = -812.0, high: float = 640.0) -> Case:
    """log(softmax(z)): G04, G16, T02."""
    softmax = op("softmax", [tensor("self", low, high, shape=(8, 10))], (0.0, 1.0), line=11)
    log = op("log", [tensor("self", 0.0, 1.0, 0.5)], (-INF, 0.0, -0.7), line=12)
    return failing(log, element([0.0], -INF, (3, 1)), upstream=[softmax])


def root_at_zero(function: str, *upstream: object, scalars: tuple[float, ...] = ()) -> Case:
    """A root at 0, in backward."""
    back = derivative("div", [tensor("self", 1.0), tensor("other", 0.0)], (INF,))
    forward = op(function, [tensor("self", 0.0, 4.0)], (0.0, 2.0), scalars=scalars)
    return failing(forward, element([1.0, 0.0], INF), back=back, upstream=upstream)


def dead_branch(function: str, received: float, slope: tuple[float, float], back: str) -> Case:
    """An operation in the branch that a where did not take."""
    names = ("self", "other")
    failed = derivative(back, [tensor(n, v) for n, v in zip(names, slope, strict=True)], (NAN,))
    where = derivative("where", [tensor("self", 0.0, 1.0)], (0.0, 1.0), line=13)
    out = {"exp": INF, "div": INF}.get(function, -INF)
    inputs = [tensor("self", received, 3.0)]
    if function == "div":
        inputs = [tensor("self", 1.0, 3.0), tensor("other", 0.0)]
    forward = op(function, inputs, (out, 1.0))
    return failing(forward, element(slope, NAN), back=failed, incoming=[where])


def overflowing_exp(received: float, *, later: str) -> Case:
    """An exp that overflows and something that follows it."""
    exp = op("exp", [tensor("self", received, 1.0)], (INF, 2.7))
    return failing(
        exp,
        element([received], INF),
        chain=[link("infinity born", exp), link("became nan", op(later, line=14))],
    )


def divided(above: float, below: float, maker: object = None) -> Case:
    """A division by zero, and what made the denominator."""
    div = op("div", [scalar("self", above), scalar("other", below)], (NAN if above == 0.0 else INF,))
    return failing(div, element([above, below], NAN, ()), upstream=[maker] if maker is not None else [])


def edge(function: str, received: float, other: float) -> Case:
    """An inverse function at the edge of its domain, in backward."""
    back = derivative("rsqrt", [tensor("self", 0.0)], (INF,))
    forward = op(function, [tensor("self", received, other)], (0.0, 1.0))
    return failing(forward, element([0.0], INF), back=back)


def mask_in_half(function: str, constant: float) -> Case:
    """A mask constant that becomes -inf in float16, and the softmax after it."""
    out = tensor("out", -INF, -INF, dtype=HALF)
    arithmetic = op(function, [tensor("self", -30.0, -20.0, dtype=HALF)], out, scalars=(constant,))
    softmax = op("softmax", [tensor("self", -INF, -INF, dtype=HALF)], (NAN, NAN), line=14)
    return failing(
        arithmetic,
        element([-30.0], -INF),
        chain=[link("infinity born", arithmetic), link("became nan", softmax)],
    )


def raw_tabular() -> Case:
    """T06: one update on raw features has thrown the weights far out."""
    sigmoid = op("sigmoid", [tensor("self", -9e3, 8e3)], (0.0, 1.0), line=11)
    log = op("log", [tensor("self", 0.0, 1.0)], (-INF, 0.0), line=12)
    entered = [leaf("batch", "batch[0]", 20.0, 349.0), leaf("parameter", "weight", -36.0, 12.0)]
    return failing(
        log, element([0.0], -INF), step=1, upstream=[sigmoid], leaves=entered, losses=(4.7,), weight_peaks=(35.9,)
    )


def linear_regression() -> Case:
    """T04: the loss multiplies from step to step."""
    power = op("pow", [tensor("self", -2e19, 3e19)], (INF,), scalars=(2.0,))
    return failing(
        power,
        element([3e19], INF),
        step=12,
        losses=(8.5e27, 1.2e31, 1.8e34, 2.7e37),
        weight_peaks=(5.6e14, 2.1e16, 8.2e17, 3.1e19),
    )


def recurrent() -> Case:
    """U56: a recurrent network without clipping at a rate of 20."""
    mm = op("addmm", [tensor("self", 1e3), tensor("mat1", 5e30, 1.0), tensor("mat2", -4e12, 3e12)], (NAN, INF))
    return failing(mm, step=3, losses=(6.9, 310.0, 4e7), weight_peaks=(14.0, 4e3, 4e12))


def clipped() -> Case:
    """P20: the norm is infinite, so the factor is 0."""
    clip = op("mul", [tensor("self", INF, 1.0), scalar("other", 0.0)], (NAN, 0.0), api="clip_grad_norm_")
    born = derivative("mm", [tensor("self", 2e22), tensor("mat2", 3e22)], (INF,))
    chain = [link("infinity born", born), link("became nan", clip)]
    return failing(clip, element([INF, 0.0], NAN), kind="parameter", chain=chain)


def variance_by_subtraction(value: float) -> Case:
    """U36: sqrt(mean(d²) - mean(d)²)."""
    sub = op("sub", [scalar("self", 1.0), scalar("other", 1.0)], scalar("out", value), line=9)
    before = [sub, op("mean", line=9), op("pow", scalars=(2.0,), line=9)]
    if value < 0.0:
        root = op("sqrt", [scalar("self", value)], (NAN,))
        return failing(root, element([value], NAN, ()), upstream=before)
    back = derivative("div", [scalar("self", 1.0), scalar("other", 0.0)], (INF,))
    root = op("sqrt", [scalar("self", 0.0)], (0.0,))
    return failing(root, element([1.0, 0.0], INF, ()), back=back, upstream=before)


def bound_that_rounds() -> Case:
    """U48: clamp(max=1 - 1e-6) in bfloat16."""
    clamp = op("clamp", [tensor("self", 0.5, 1.0, dtype=BRAIN)], (0.5, 1.0), scalars=(1 - 1e-6,), line=9)
    back = derivative("div", [tensor("self", 0.0, dtype=BRAIN), tensor("other", 0.0, dtype=BRAIN)], (NAN,))
    log1p = op("log1p", [tensor("self", -1.0, -0.5, dtype=BRAIN)], (-INF, -0.7))
    where = derivative("where", [tensor("self", 0.0, 1.0, dtype=BRAIN)], (0.0, 1.0))
    before = [op("neg", line=9), clamp]
    return failing(log1p, element([0.0, 0.0], NAN), back=back, upstream=before, incoming=[where])


def epsilon_that_vanishes() -> Case:
    """U50: 1 / (x + 1e-15) in float16."""
    add = op("add", [tensor("self", 0.0, 0.5, dtype=HALF)], (0.0, 0.5), scalars=(1e-15,), line=9)
    reciprocal = op("reciprocal", [tensor("self", 0.0, 0.5, dtype=HALF)], (INF, 2.0))
    return failing(reciprocal, element([0.0], INF), upstream=[add])


def padded_attention() -> Case:
    """P14: a softmax over a row of -inf."""
    masked_fill = op("masked_fill", [tensor("self", 1.0, 2.0)], (-INF, -INF), scalars=(-INF,), line=7)
    softmax = op("softmax", [tensor("self", -INF, -INF, 1.0)], (NAN, NAN, 1.0))
    chain = [link("constant placed", masked_fill), link("became nan", softmax)]
    return failing(softmax, element([], NAN, (1, 0, 0)), samples=(1,), chain=chain, upstream=[masked_fill])


def logaddexp_of_nothing() -> Case:
    """P12: logaddexp(-inf, -inf)."""
    back = derivative("sub", [tensor("self", -INF), tensor("other", -INF)], (NAN,))
    forward = op("logaddexp", [tensor("self", -INF), tensor("other", -INF)], (-INF,))
    return failing(forward, element([-INF, -INF], NAN), back=back)


def svd_of_deficient_rank() -> Case:
    """P16: several singular values are 0."""
    back = derivative("div", [tensor("self", 0.0), tensor("other", 0.0)], (NAN,))
    values = tensor("out[1]", 3.2, 1.1, 0.0, 0.0)
    vectors = tensor("out[0]", -1.0, 1.0, shape=(4, 4))
    svd = op("svd", [tensor("A", -1.0, 1.0, shape=(4, 4))], [vectors, values, vectors])
    return failing(svd, element([0.0, 0.0], NAN, (2, 3)), back=back)


def bounded_rsqrt() -> Case:
    """U02: min(rsqrt(s), 1/eps) at s = 0; min sends a gradient of 0 into rsqrt."""
    back = derivative("mul", [scalar("self", 0.0), scalar("other", INF)], (NAN,))
    rsqrt = op("rsqrt", [scalar("self", 0.0)], (INF,))
    incoming = [derivative("masked_fill", [scalar("self", 0.0)], (0.0,))]
    chain = [link("infinity born", rsqrt), link("became nan", back)]
    return failing(rsqrt, element([0.0, INF], NAN, ()), back=back, incoming=incoming, chain=chain)


def masked_entropy() -> Case:
    """U18: 0 · -inf."""
    placed = op("masked_fill", [tensor("self", 1.0)], (-INF,), scalars=(-INF,), line=7)
    mul = op("mul", [tensor("self", 1.0, 0.0), tensor("other", 0.0, -INF)], (0.0, NAN))
    chain = [link("constant placed", placed), link("became nan", mul)]
    return failing(mul, element([0.0, -INF], NAN, (1,)), chain=chain, upstream=[op("softmax"), op("log_softmax")])


def min_max_scaling() -> Case:
    """U38: (x - min) / (max - min) of a constant."""
    spread = op("sub", [scalar("self", 0.5), scalar("other", 0.5)], scalar("out", 0.0), line=9)
    shifted = op("sub", [tensor("self", 0.5, 0.5), scalar("other", 0.5)], (0.0, 0.0), line=9)
    div = op("div", [tensor("self", 0.0, 0.0), scalar("other", 0.0)], (NAN, NAN))
    before = [shifted, spread, op("min", line=9), op("max", line=9)]
    return failing(div, element([0.0, 0.0], NAN), upstream=before)


def bad_target() -> Case:
    """U40: one NaN in the ground truth."""
    target = leaf("batch", "batch[1]", 1.0, NAN, 0.5)
    sub = op("sub", [tensor("self", 0.5), target.stats], (NAN,))
    return failing(sub, element([0.5, NAN], NAN), phase="data", entering=target, samples=(7,))


def fresh_parameter() -> Case:
    """U42: memory that nobody filled."""
    weight = leaf("parameter", "attention.weight", NAN, NAN)
    mm = op("mm", [tensor("self", 1.0), weight.stats], (NAN,))
    return failing(mm, step=0, phase="state", entering=weight, losses=(), weight_peaks=())


def zero_update() -> Case:
    """U52: norm(U) / norm(U_new) of a layer that starts at zero."""
    div = op("div", [scalar("self", 0.0), scalar("other", 0.0)], (NAN,), phase="optimizer")
    norm = op("norm", [tensor("self", 0.0)], scalar("out", 0.0), phase="optimizer", line=9)
    return failing(div, element([0.0, 0.0], NAN, ()), kind="parameter", upstream=[norm])


def labels_all_ignored() -> Case:
    """P18: the mean of nll_loss over no label."""
    target = tensor("target", -100.0, shape=(4,), dtype="int64")
    inputs = [tensor("self", -0.7, -1.3, shape=(4, 2)), target]
    nll = op("nll_loss", inputs, [scalar("out[0]", NAN), scalar("out[1]", 0.0)], api="cross_entropy")
    return failing(nll, element([], NAN, ()))


def zero_weight_norm() -> Case:
    """P22: v = 0 has no direction."""
    return failing(op("weight_norm_interface", [tensor("v", 0.0, 0.0), tensor("g", 1.0)], (NAN, NAN)))


def count_of_zero() -> Case:
    """U34: the denominator is a tensor of integers, of which the trace keeps no range."""
    div = op("div", [scalar("self", 0.0)], (NAN,))
    return failing(div, element([0.0], NAN, ()), upstream=[op("sum", [tensor("self", 0.0)], (0.0,), line=9)])


def one_minus_sigmoid() -> Case:
    """G02: log(1 - sigmoid(z))."""
    sigmoid = op("sigmoid", [tensor("self", -5.0, 200.0)], (0.007, 1.0), line=11)
    rsub = op("rsub", [tensor("self", 0.007, 1.0)], (0.993, 0.0), scalars=(1.0,), line=12)
    log = op("log", [tensor("self", 0.993, 0.0)], (-0.007, -INF), line=12)
    entered = [leaf("batch", "batch[0]", 0.0, 100.0), leaf("parameter", "weight", -1.1, 1.3)]
    return failing(
        log, element([0.0], -INF), step=1, upstream=[rsub, sigmoid], leaves=entered, losses=(4.9,), weight_peaks=(1.3,)
    )


SINGULARITY = "gradient_singularity"
NORM = op("norm", [tensor("self", 0.0, 0.0)], scalar("out", 0.0), line=9)
UNDERFLOWN = op("exp", [tensor("self", -110.0, 1.4)], (0.0, 4.0), line=9)
CONSTANT_VAR = op("var", [tensor("self", 2.0, 2.0)], (0.0, 4.0), line=9)

ROWS: dict[str, tuple[Case, set[str]]] = {
    "G02": (one_minus_sigmoid(), {"domain"}),
    "G04": (log_of_softmax(), {"domain"}),
    "G06": (overflowing_exp(100.0, later="log"), {"range"}),
    "G08": (failing(op("log", [tensor("self", -1.0, 1.0)], (NAN, 0.0)), element([-1.0], NAN)), {"domain"}),
    "G10": (failing(op("log", [tensor("self", 0.0, 1.0)], (-INF, 0.0)), element([0.0], -INF)), {"domain"}),
    "G12": (overflowing_exp(100.0, later="div"), {"range"}),
    "G14": (root_at_zero("sqrt", UNDERFLOWN), {SINGULARITY}),
    "G16": (log_of_softmax(low=-20.0, high=900.0), {"domain"}),
    "G18": (failing(op("div", [tensor("self", 1.0)], (INF,), scalars=(0.0,)), element([1.0], INF)), {"domain"}),
    "T02": (log_of_softmax(low=-300.0, high=90.0), {"domain"}),
    "T04": (linear_regression(), {"dynamics"}),
    "T06": (raw_tabular(), {"dynamics"}),
    "P02": (dead_branch("log2", 0.0, (0.0, 0.0), "div"), {SINGULARITY}),
    "P04": (dead_branch("div", 0.0, (0.0, 0.0), "div"), {SINGULARITY}),
    "P06": (dead_branch("exp", 1e10, (0.0, INF), "mul"), {SINGULARITY}),
    "P08": (divided(0.0, 0.0, NORM), {"domain"}),
    "P10": (root_at_zero("sqrt", CONSTANT_VAR), {SINGULARITY}),
    "P12": (logaddexp_of_nothing(), {SINGULARITY}),
    "P14": (padded_attention(), {SINGULARITY}),
    "P16": (svd_of_deficient_rank(), {SINGULARITY}),
    "P18": (labels_all_ignored(), {"reduction"}),
    "P20": (clipped(), {"precision"}),
    "P22": (zero_weight_norm(), {"domain"}),
    "U02": (bounded_rsqrt(), {SINGULARITY}),
    "U04": (root_at_zero("pow", scalars=(0.5,)), {SINGULARITY}),
    "U06": (failing(op("sqrt", [tensor("self", -1.2e-7, 1.0)], (NAN, 1.0)), element([-1.2e-7], NAN)), {"domain"}),
    "U08": (divided(0.0, 0.0, op("mul", [scalar("self", 0.0)], (0.0,), scalars=(2.0,))), {"domain"}),
    "U10": (edge("acos", 1.0, 0.5), {SINGULARITY}),
    "U12": (edge("acosh", 1.0, 2.0), {SINGULARITY}),
    "U14": (
        failing(
            op("sqrt", [tensor("self", -0.3)], (NAN,)),
            element([-0.3], NAN),
            leaves=[leaf("parameter", "scale", -0.3)],
            losses=(1.2, 1.1, 900.0),
            weight_peaks=(0.8, 0.8, 40.0),
        ),
        {"domain"},
    ),
    "U16": (
        failing(
            op("atanh", [tensor("self", 1.0, 0.46)], (INF, 0.5)),
            element([1.0], INF),
            upstream=[op("tanh", [tensor("self", 20.0, 0.5)], (1.0, 0.46), line=9)],
        ),
        {"range", SINGULARITY},
    ),
    "U18": (masked_entropy(), {"domain"}),
    "U20": (overflowing_exp(200.0, later="mul"), {"range"}),
    "U24": (overflowing_exp(100.0, later="log"), {"range"}),
    "U26": (divided(0.0, 0.0), {"domain"}),
    "U28": (divided(0.0, 0.0, op("sub", [scalar("self", 0.0), scalar("other", 0.0)], scalar("out", 0.0))), {"domain"}),
    "U30": (failing(op("mean", [], scalar("out", NAN))), {"reduction"}),
    "U32": (divided(3.0, 0.0, op("sum", [tensor("self", 0.0, 0.0)], scalar("out", 0.0))), {"reduction"}),
    "U34": (count_of_zero(), {"reduction"}),
    "U36 at 0": (variance_by_subtraction(0.0), {SINGULARITY, "range"}),
    "U36 below 0": (variance_by_subtraction(-6e-8), {SINGULARITY, "range"}),
    "U38": (min_max_scaling(), {"reduction", "data"}),
    "U40": (bad_target(), {"data"}),
    "U42": (fresh_parameter(), {"dynamics"}),
    "U44": (mask_in_half("add", -65504.0), {"range"}),
    "U46": (mask_in_half("mul", -1e9), {"range"}),
    "U48": (bound_that_rounds(), {"range"}),
    "U50": (epsilon_that_vanishes(), {"range"}),
    "U52": (zero_update(), {"dynamics"}),
    "U56": (recurrent(), {"dynamics"}),
}
