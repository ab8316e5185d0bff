"""The sentences that the terminal and the web page share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from evenkeel.core.case import Origin, Symptom, Term
from evenkeel.core.incident import Advice, Incident
from evenkeel.core.operation import Element, Leaf, Operation, Phase
from evenkeel.core.words import nonfinite, number
from evenkeel.report import words

PASSES: dict[Phase, str] = {
    "forward": "forward pass",
    "backward": "backward pass",
    "optimizer": "optimizer update",
    "state": "before the step began",
    "data": "data of the step",
}
LEAVES = {
    "batch": "the batch",
    "parameter": "the parameter",
    "buffer": "the buffer",
    "gradient": "the gradient of",
    "optimizer": "the optimizer's state",
    "external": "the tensor",
}


DiffLine = Literal["file", "where", "plus", "minus", "same"]
_DIFF_LINES: dict[str, DiffLine] = {"@": "where", "+": "plus", "-": "minus"}


def headline(incident: Incident) -> str:
    """`step 12: the loss is inf`."""
    rank = f" on rank {incident.rank}" if incident.rank or incident.received_by else ""
    return f"step {incident.case.step}{rank}: {_seen(incident.case.symptom)}"


def _seen(symptom: Symptom) -> str:
    match symptom.kind:
        case "loss" if symptom.value is not None:
            return f"the loss is {number(symptom.value)}"
        case "loss":
            return "the loss is not finite"
        case "spike" if symptom.value is not None:
            return f"the loss jumped to {number(symptom.value)}"
        case "spike":
            return "the loss jumped"
        case "silent":
            return f"finite, but not healthy: {symptom.name}"
        case kind:
            rest = len(set(symptom.names) - {symptom.name})
            subject = f"the {kind} of {symptom.name}" if kind == "gradient" else f"the {kind} {symptom.name}"
            first = f", first {symptom.first}" if symptom.first not in {"", symptom.name} else ""
            return f"{subject} is not finite" + (f", and {rest:,} more{first}" if rest else "")


def where(origin: Origin) -> str:
    """The line, the module and the pass in which the value was born."""
    operation = origin.operation
    line = words.cite(operation.place) if operation.place else "no line of your own code was running"
    module = origin.module or operation.module
    phase = PASSES[(origin.derivative or operation).phase]
    return ", ".join([line, *([f"module {module}"] if module else []), phase])


def what(origin: Origin) -> str:
    """What the operation did there."""
    if origin.leaf is not None:
        return f"{_leaf(origin.leaf)} was bad before anything touched it: {nonfinite(origin.leaf.stats)}"
    if origin.derivative is None:
        return f"{words.name_of(origin.operation)} returned {_returned(origin.operation)}"
    return (
        f"the derivative of {words.name_of(origin.operation)} is singular here: "
        f"{origin.derivative.function} returned {_returned(origin.derivative)}"
    )


def _leaf(leaf: Leaf) -> str:
    return f"{LEAVES[leaf.kind]} {leaf.name}".strip()


def _returned(operation: Operation) -> str:
    bad = [stats for stats in operation.outputs if stats.num_nonfinite] or operation.outputs[:1]
    if not bad:
        return "a value that is not finite"
    return "; ".join(
        nonfinite(stats) if stats.numel == 1 else f"{nonfinite(stats)} among {stats.numel:,} elements" for stats in bad
    )


def element(origin: Origin, bad: Element) -> str:
    """`[3, 17]: log(0) = -inf`."""
    function = (origin.derivative or origin.operation).function
    operands = ", ".join(number(operand) for operand in bad.operands)
    index = f"{list(bad.index)}: " if bad.index else ""
    return f"{index}{function}({operands}) = {number(bad.result)}"


def num_elements(origin: Origin) -> int:
    """How many elements are bad in all; `origin.elements` may hold only the first of them."""
    outputs = (origin.derivative or origin.operation).outputs
    return max(len(origin.elements), outputs[0].num_nonfinite if outputs else 0)


def samples(origin: Origin) -> str:
    """The rows of the batch that the bad elements belong to."""
    batch = "" if origin.micro_batch is None else f", in batch {origin.micro_batch} of the accumulated step"
    if origin.num_samples is None:
        return "no batch was seen, so none can be named"
    if not origin.samples:
        return f"not traced to single ones of the {origin.num_samples:,} in the batch{batch}"
    if len(origin.samples) == origin.num_samples:
        return f"all {origin.num_samples:,} of the batch{batch}"
    rows = f"{words.listed(origin.samples)} of the {origin.num_samples:,} in the batch (counted from 0){batch}"
    elements = f"; in the data set: {words.listed(origin.dataset_indices)}" if origin.dataset_indices else ""
    return rows + elements + _verdict(origin)


def _verdict(origin: Origin) -> str:
    """What the step was like with other rows in their place."""
    if origin.samples_verified is None:
        return ""
    outcome = "healthy" if origin.samples_verified else "bad all the same"
    return f"; with other rows of the batch in their place the step is {outcome}"


def ranks(incident: Incident) -> str:
    """Where the bad value was born, and who has it from there."""
    several = "ranks" if len(incident.received_by) > 1 else "rank"
    return f"born on rank {incident.rank}; received from there by {several} {words.listed(incident.received_by)}"


def terms(terms: Sequence[Term]) -> str:
    """Each summand of the loss with its value, and which of them carry the bad value."""
    return "; ".join(_term(term) for term in terms)


def _term(term: Term) -> str:
    value = "" if term.value is None else f" = {number(term.value)}"
    return f"{term.name}{value} ({'healthy' if term.is_healthy else 'not healthy'})"


def replay(incident: Incident) -> str:
    """Whether the step could be repeated, and how."""
    how = f" ({incident.how_replayed})" if incident.how_replayed else ""
    if incident.case.but_for_rounding:
        return (
            f"the step was run again and the symptom came back{how}: the same elements are bad; the finite values "
            "beside them differ in their last digits, so some operation here does not always add in the same order"
        )
    if incident.case.reproduced:
        return f"the step was run again and the symptom came back, the same to the bit{how}"
    return f"the symptom was not reproduced{how}"


def advice(incident: Incident) -> tuple[Advice, ...]:
    """What to do: what was tried, else what the likeliest cause advises."""
    if incident.advice or not incident.causes:
        return incident.advice
    return (Advice(text=incident.causes[0].advice),)


def diff_lines(item: Advice) -> Iterator[tuple[DiffLine, str]]:
    """The lines of the diff, each with what it is; a line ends with a line feed only."""
    if item.diff is None:
        return
    for line in item.diff.removesuffix("\n").split("\n"):
        kind: DiffLine = "file" if line.startswith(("--- ", "+++ ")) else _DIFF_LINES.get(line[:1], "same")
        yield kind, line.rstrip("\r")


def verified(item: Advice) -> str:
    """What stands behind a piece of advice."""
    return "not tried on this step" if item.verified_by is None else f"verified: {item.verified_by}"


def capsule(incident: Incident) -> str:
    """The command that runs the captured step again; "" where nothing was captured."""
    if incident.capsule is None:
        return ""
    size = "" if incident.capsule_bytes is None else f", {words.size(incident.capsule_bytes)}"
    return f"evenkeel replay {words.short(incident.capsule)}  (the failing step{size})"
