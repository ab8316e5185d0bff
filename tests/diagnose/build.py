"""Build the values that make up a case, as short as a table row."""

import math
from collections.abc import Sequence

from evenkeel.core.case import Case, Link, LinkRole, Origin, Symptom, SymptomKind
from evenkeel.core.operation import Element, Leaf, LeafKind, Operation, Phase
from evenkeel.core.place import Place
from evenkeel.core.stats import TensorStats

INF = math.inf
NAN = math.nan


def tensor(name: str, *values: float, shape: tuple[int, ...] | None = None, dtype: str = "float32") -> TensorStats:
    """Describe a tensor that holds exactly these values; `shape` when they stand for more of the same range."""
    finite = [value for value in values if math.isfinite(value)]
    return TensorStats(
        name=name,
        shape=(len(values),) if shape is None else shape,
        dtype=dtype,
        device="cpu",
        num_nan=sum(math.isnan(value) for value in values),
        num_posinf=values.count(INF),
        num_neginf=values.count(-INF),
        num_zero=finite.count(0.0),
        min=min(finite, default=None),
        max=max(finite, default=None),
    )


def scalar(name: str, value: float, dtype: str = "float32") -> TensorStats:
    """Describe a tensor without dimensions."""
    return tensor(name, value, shape=(), dtype=dtype)


def op(
    function: str,
    inputs: Sequence[TensorStats] = (),
    out: Sequence[float] | TensorStats | Sequence[TensorStats] = (1.0,),
    *,
    scalars: tuple[float, ...] = (),
    phase: Phase = "forward",
    line: int = 10,
    source: str = "",
    api: str = "",
    made_by: tuple[int | None, ...] = (),
) -> Operation:
    """Describe an operation; `out` are values of the inputs' dtype, or what is known of the results.

    Its `line` is its index too, by which `made_by` of later ones names it.
    """
    dtype = inputs[0].dtype if inputs else "float32"
    if isinstance(out, TensorStats):
        outputs = (out,)
    elif out and isinstance(out[0], TensorStats):
        outputs = tuple(out)
    else:
        outputs = (tensor("out", *out, dtype=dtype),)
    return Operation(
        index=line,
        op=f"aten.{function}.default",
        function=function,
        phase=phase,
        api=api,
        place=Place(file="train.py", line=line, scope="loss_fn", source=source),
        inputs=tuple(inputs),
        outputs=outputs,
        scalars=scalars,
        made_by=made_by,
    )


def derivative(function: str, inputs: Sequence[TensorStats], out: Sequence[float], line: int = 10) -> Operation:
    """Describe a backward operation."""
    return op(function, inputs, out, phase="backward", line=line)


def element(operands: Sequence[float], result: float, index: tuple[int, ...] = (0,)) -> Element:
    """One bad element."""
    return Element(index=index, operands=tuple(operands), result=result)


def leaf(kind: LeafKind, name: str, *values: float, dtype: str = "float32") -> Leaf:
    """A tensor that entered the step."""
    return Leaf(kind=kind, name=name, stats=tensor(name, *values, dtype=dtype))


def link(role: LinkRole, operation: Operation) -> Link:
    """A station of the chain."""
    return Link(role=role, operation=operation)


def failing(
    operation: Operation | None,
    *elements: Element,
    back: Operation | None = None,
    step: int = 40,
    kind: SymptomKind | None = None,
    phase: Phase | None = None,
    entering: Leaf | None = None,
    samples: tuple[int, ...] = (),
    upstream: Sequence[Operation] = (),
    incoming: Sequence[Operation] = (),
    leaves: Sequence[Leaf] = (),
    chain: Sequence[Link] = (),
    losses: tuple[float, ...] = (2.3, 2.2, 2.25, 2.1),
    weight_peaks: tuple[float, ...] = (0.8, 0.81, 0.83),
    reproduced: bool = True,
    only_compiled: bool = False,
) -> Case:
    """Put a case together around the operation in which the bad value was born; `back` is its derivative."""
    seen = kind or ("gradient" if back is not None else "loss")
    origin = None
    if operation is not None:
        origin = Origin(
            operation=operation,
            derivative=back,
            leaf=entering,
            elements=elements,
            samples=samples,
            num_samples=32 if samples else None,
        )
    born = "forward" if operation is None else (back or operation).phase
    return Case(
        step=step,
        phase=phase or born,
        symptom=Symptom(kind=seen, name="loss" if seen == "loss" else "encoder.weight"),
        reproduced=reproduced,
        only_compiled=only_compiled,
        origin=origin,
        chain=tuple(chain),
        upstream=tuple(upstream),
        incoming=tuple(incoming),
        leaves=(*leaves, *([entering] if entering is not None else [])),
        losses=losses,
        weight_peaks=weight_peaks,
    )
