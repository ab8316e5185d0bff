"""A sequence is too short to be aligned with its target.

What you see:
    An infinite ctc_loss for some samples while the log-probabilities are finite, and then NaN gradients.
Why:
    Each symbol of the target needs a time step of its own, and two equal neighbours one more for the blank between
    them. With fewer steps no alignment exists, its probability is 0 and the loss infinite. Convolutions that
    halve the time axis, or a clip cut too short, bring it about.
Bad:
    loss = F.ctc_loss(log_probs, targets, input_lengths, target_lengths)     # 4 steps for "aaa", which needs 5
Good:
    repeats = (targets[:, 1:] == targets[:, :-1]) & (positions < target_lengths[:, None] - 1)
    fits = input_lengths >= target_lengths + repeats.sum(1)                  # keep these, count the others
Not this:
    A log-probability of -inf that came in is log_of_nonpositive or a mask. The loss's own switch that sets such
    samples to 0 leaves them out and tells nobody: count them too.
Source:
    torch.nn.CTCLoss (zero_infinity); Graves et al. (2006); SimpleHTR#28; warp-ctc#29.
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import extent
from evenkeel.diagnose import evidence, words

CODE = "EK244"
FAMILY: Family = "data"

_STATES_BESIDE = 2  # log_alpha holds 2·S + 1 states for a longest target of S symbols


def judge(case: Case) -> Cause | None:
    """An infinite ctc_loss of finite log-probabilities, whether the loss or only the gradient shows it."""
    origin = evidence.born(case)
    if origin is None or evidence.base(origin.operation) not in {"ctc_loss", "cudnn_ctc_loss"}:
        return None
    operation = origin.operation
    bad = operation.outputs[0].num_posinf if operation.outputs else 0
    if not bad or not evidence.is_finite(operation):
        return None
    return Cause(
        name="impossible_length",
        code=CODE,
        family=FAMILY,
        text=f"ctc_loss is infinite for {words.plural(bad, 'sample')} of {operation.outputs[0].numel:,}"
        f"{_which(origin)}{words.cite(operation)}: the sequence has fewer steps than its target needs, repeats "
        f"included{_lengths(operation)}.",
        evidence=tuple(words.tensor(stats) for stats in (*operation.inputs, operation.outputs[0])),
        confidence=0.93,
        advice=(
            "Compare the lengths before the loss: input_length must be at least target_length plus the number of equal "
            "neighbours in the target. Leave such samples out and count them, or keep more time steps (less striding). "
            "zero_infinity=True does the leaving out without the counting."
        ),
    )


def _which(origin: Origin) -> str:
    """The samples, by their position in the batch; log-probabilities have time in front."""
    if evidence.in_backward(origin):
        return ""
    positions = [float(element.index[0]) for element in origin.elements if len(element.index) == 1]
    return f": {words.some(positions)}" if positions else ""


def _lengths(operation: Operation) -> str:
    """The lengths where they came as tensors, else the longest ones that the shapes tell."""
    inputs, targets = (evidence.argument(operation, name) for name in ("input_lengths", "target_lengths"))
    if inputs is not None and targets is not None:
        return f": inputs of {extent(inputs)} steps, targets of {extent(targets)} symbols"
    steps = operation.inputs[0].shape[0] if operation.inputs and operation.inputs[0].shape else None
    alpha = operation.outputs[1].shape if len(operation.outputs) > 1 else ()
    if steps is None or not alpha:
        return ""
    return f": at most {steps:,} steps, the longest target has {(alpha[-1] - 1) // _STATES_BESIDE:,} symbols"
