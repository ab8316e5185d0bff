"""Everything that is known of a failing step before it is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evenkeel.core.operation import Element, Leaf, Operation, Phase
from evenkeel.core.place import Place

SymptomKind = Literal["loss", "gradient", "parameter", "buffer", "spike", "silent"]
LinkRole = Literal["infinity born", "nan born", "became nan", "constant placed", "visible"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """What was seen to be non-finite at the end of a step."""

    kind: SymptomKind
    name: str  # "loss", or the name of the first bad tensor
    names: tuple[str, ...] = ()  # every bad tensor
    first: str = ""  # the one of them that the replay saw go bad first; "" when there was no trace
    value: float | None = None  # the loss, when the symptom is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One station between the birth of a bad value and the symptom."""

    role: LinkRole
    operation: Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the bad value was born: an operation, and what it carried with it.

    In a backward failure `operation` is the forward operation whose derivative is singular (the user's line) and
    `derivative` is the backward operation that computed it; otherwise `derivative` is None.
    """

    operation: Operation
    derivative: Operation | None = None
    leaf: Leaf | None = None  # set when the value was bad before any operation of the step touched it
    elements: tuple[Element, ...] = ()
    samples: tuple[int, ...] = ()  # rows of the batch
    num_samples: int | None = None  # batch size, None when no batch was seen
    micro_batch: int | None = None  # which batch of an accumulated step
    dataset_indices: tuple[int, ...] = ()  # of these rows in the data set, where the loader's sampler told
    samples_verified: bool | None = None  # with other rows in their place the replay was healthy; None: not tried
    term: str | None = None  # the summands of the loss that carry the bad value, as the user names them
    module: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A summand of the loss."""

    name: str  # the user's variable, else the source text: "beta * kl"
    value: float | None  # None when it is not one real number
    is_healthy: bool  # its value and its own gradients are finite
    place: Place | None = None  # the line where it was computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The failing step, measured: the only thing that a cause may look at.

    `upstream` are the operations that fed the origin (its forward form), nearest first; `incoming` those that fed
    the derivative; `leaves` the tensors that entered the step from outside.
    """

    step: int
    phase: Phase
    symptom: Symptom
    reproduced: bool
    obstacle: str = ""  # why the step could not be repeated at all; "" when it was
    repeats: tuple[bool, ...] = ()  # of a step that did not come back, made again unchanged: whether it failed
    fails_when_filled: bool | None = None  # it fails with NaN in all memory that nobody initialised; None: not tried
    but_for_rounding: bool = False  # reproduced, but finite values beside the bad ones differ in their last digits
    only_compiled: bool = False  # it came again in code compiled by torch.compile, and not without compilation
    origin: Origin | None = None
    others: tuple[Origin, ...] = ()
    chain: tuple[Link, ...] = ()
    upstream: tuple[Operation, ...] = ()
    incoming: tuple[Operation, ...] = ()
    leaves: tuple[Leaf, ...] = ()
    terms: tuple[Term, ...] = ()  # empty when the loss is no sum
    replaced: tuple[Operation, ...] = ()  # nan_to_num and its like, where they made something bad look finite
    losses: tuple[float, ...] = ()  # of the last steps, oldest first, the failing one excluded
    gradient_norms: tuple[float, ...] = ()  # where the loop clips: of the last steps, the failing one last
    last_good_state: int | None = None  # the last step after which all parameters were seen to be finite; None: none
    weight_peaks: tuple[
        float, ...
    ] = ()  # largest |parameter| before the first step, after steps 0, 1, 2, 4, …, and now
