"""The length of a gradient was taken by a root, and a gradient was 0.

What you see:
    A finite loss and NaN gradients in a step with a gradient penalty (create_graph=True), often in the first steps
    or after many, when a critic is flat somewhere.
Why:
    The penalty (|g| - 1)² differentiates |g| = sqrt(Σg²) once more. For a sample whose gradient is 0 (dead ReLUs,
    a saturated output) the slope of that root is infinite, and the next product is inf·0.
Bad:
    length = grad.square().sum(1).sqrt()
Good:
    length = grad.flatten(1).norm(dim=1)                  # slope 0 at 0
    length = (grad.square().sum(1) + 1e-12).sqrt()        # or the epsilon inside
Not this:
    A root of data or activations is root_gradient_at_zero, one of a difference distance_to_itself. A gradient of 0
    that is divided by its length (g / g.norm()) is division_by_zero.
Source:
    Gulrajani et al. (2017), "Improved Training of Wasserstein GANs"; keras-io#910; pytorch#2534.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.diagnose import evidence, lineage, makers, words

CODE = "EK217"
FAMILY: Family = "gradient_singularity"

_PARTS_OF_A_NORM = makers.COPIES | {"sum", "mean", "add", "abs", "pow", "square", "clamp", "clamp_min"}


def judge(case: Case) -> Cause | None:
    """The derivative of a root at 0 whose radicand is made of what backward computed."""
    origin = evidence.born_backward(case, evidence.ROOTS - {"rsqrt"})
    if origin is None or not evidence.is_root_of_zero(origin.operation):
        return None
    root = origin.operation
    gradient = makers.nearest(case, lineage.maker(case, root, 0), _is_gradient, _is_part)
    if gradient is None:
        return None
    zeros = words.at(origin)
    samples = f" for {words.plural(len(origin.samples), 'sample')}" if origin.samples else ""
    return Cause(
        name="gradient_penalty_at_zero",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(root)}{words.cite(root)} took the length of a gradient (computed in backward by "
        f"{evidence.base(gradient)}{words.cite(gradient, unless=root)}) and received exactly 0{zeros}{samples}: the "
        "gradient vanishes there, and the second derivative is infinite.",
        evidence=(
            *(words.tensor(stats) for stats in gradient.outputs),
            *(words.tensor(stats) for stats in root.inputs),
        ),
        confidence=0.91,
        advice=(
            "Take the length with torch.linalg.vector_norm or .norm(dim=...), whose slope at 0 is 0, or put the "
            "epsilon inside the root, (g.square().sum(1) + eps).sqrt(); outside it mends only the value. Look also "
            "why the gradient vanishes: dead units or a saturated output."
        ),
    )


def _is_gradient(operation: Operation) -> bool:
    """Whether backward computed it; the root's own input is then a gradient."""
    return operation.phase == "backward"


def _is_part(operation: Operation) -> bool:
    """What may stand between a gradient and the root of its squares."""
    return evidence.base(operation) in _PARTS_OF_A_NORM or makers.is_square(operation)
