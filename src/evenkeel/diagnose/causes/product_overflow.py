"""A product, a square, a power or a sum left the range of its dtype.

What you see:
    inf (or NaN, when both signs overflow in one sum) out of finite numbers, without any exponential.
Why:
    Squares double the exponent: 2e19 is the largest number with a finite square in float32. Unscaled
    inputs, activations that grow from layer to layer, or weights that have run away get there.
Bad:
    loss = ((prediction - raw_counts) ** 2).sum()            # counts of 1e20
Good:
    loss = ((prediction - raw_counts / scale) ** 2).mean()
Not this:
    Growing losses or weights in the steps before make it step_too_large; one wild entry in the batch is
    outlier_input; float16 is half_overflow.
Source:
    pytorch#46849 and DeepSpeed#7171, whose gradients overflow; Stack Overflow 43636736.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, masks, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK222"
FAMILY: Family = "range"

_GROWING = frozenset(
    {
        *(
            "mul",
            "pow",
            "square",
            "mm",
            "bmm",
            "addmm",
            "baddbmm",
            "mv",
            "dot",
            "addcmul",
            "addcdiv",
            "prod",
            "cumprod",
        ),
        *(
            "sum",
            "mean",
            "add",
            "sub",
            "rsub",
            "cumsum",
            "norm",
            "var",
            "std",
            "var_mean",
            "mse_loss",
            "div",
            "reciprocal",
        ),
        *(
            "convolution",
            "conv1d",
            "conv2d",
            "conv3d",
            "linear",
            "batch_norm",
            "layer_norm",
            "group_norm",
            "cdist",
        ),
    }
)


def judge(case: Case) -> Cause | None:
    """Finite numbers in, something infinite out, in a dtype of wide range."""
    origin = evidence.born(case)
    if origin is None:
        return None
    operation = evidence.overflow(origin)
    if operation is None or evidence.base(operation) not in _GROWING or masks.overflowed_mask(operation):
        return None
    dtype = evidence.dtype_of(operation)
    limits = limits_of(dtype)
    if limits is None or dtype in masks.NARROW:
        return None
    values = " and ".join(number(stats.magnitude) for stats in operation.inputs)
    direction = "the gradient of " if evidence.in_backward(origin) else ""
    return Cause(
        name="product_overflow",
        code=CODE,
        family=FAMILY,
        text=f"{direction}{evidence.base(origin.operation)} overflowed {dtype} (largest number "
        f"{number(limits.largest)}){words.at(origin)}{words.cite(origin.operation)}: its inputs reach "
        f"{values}.",
        evidence=tuple(words.tensor(stats) for stats in operation.inputs),
        confidence=0.6 if evidence.in_backward(origin) else 0.8,
        advice=(
            "Find the first input that is larger than it should be and bring it to a scale near 1: "
            "standardise the data, normalise between layers, average instead of summing, clip the "
            "gradient's norm."
        ),
    )
