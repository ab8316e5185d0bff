"""From the births of bad values to one origin with its samples, its chain and what fed it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from evenkeel.core.case import Link, LinkRole, Origin
from evenkeel.core.operation import Leaf, LeafKind, Operation, Phase
from evenkeel.core.stats import TensorStats
from evenkeel.locate.batch import Batch
from evenkeel.locate.flow import Birth, walk_back
from evenkeel.locate.record import Record, Touch, storage_of
from evenkeel.locate.samples import SampleFinder
from evenkeel.locate.trace import Trace
from evenkeel.locate.upstream import incoming, upstream

_MOST_ELEMENTS = 16
_DATA = {"batch", "external"}
_NEVER_MASKS = {"parameter", "optimizer", "gradient"}
_PRODUCTS = {"mul", "mm", "mv", "bmm", "addmm", "addmv", "dot", "sum", "convolution"}
_ROLES: dict[str, LinkRole] = {"infinity": "infinity born", "nan": "nan born", "constant": "constant placed"}

LeafNamer = Callable[[int], tuple[LeafKind, str] | None]  # storage -> what lies there
Leaves = dict[int, Leaf]  # by storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """What locating found; `origin` is None when the trace holds nothing bad that leads to the symptom."""

    phase: Phase
    origin: Origin | None = None
    others: tuple[Origin, ...] = ()
    chain: tuple[Link, ...] = ()
    upstream: tuple[Operation, ...] = ()
    incoming: tuple[Operation, ...] = ()
    leaves: tuple[Leaf, ...] = ()


def locate(
    trace: Trace,
    symptom: Sequence[Tensor],
    num_samples: int | None,
    namer: LeafNamer,
    batches: Iterable[object] = (),
) -> Located:
    """Find the origin of the symptom's tensors in the trace.

    `num_samples` is the batch size, for naming rows; None when unknown. `namer` says what lies in memory that no
    operation wrote. `batches` are what the loop was handed; without them rows are told by shapes alone.
    Cost: proportional to the operations that carried something bad, and to those between the batch and the origin.
    """
    leaves = {storage: _leaf(stats, namer(storage)) for storage, stats in trace.leaves.items()}
    finder = SampleFinder(trace.records, Batch(batches, num_samples), leaves, num_samples)
    starts = [(w, t) for t in symptom if (w := trace.bad_writer(t)) is not None]
    if not starts:
        return _from_leaf_alone(trace, symptom, leaves)
    first, tensor = min(starts, key=lambda s: s[0])
    walk = walk_back(trace.records, first, Touch.at(tensor, "symptom"), _bad_elements(tensor))
    for birth in walk.births:
        birth.is_placed = _is_placed(birth, leaves)
    ranked = sorted(walk.births, key=_preference)
    best = ranked[0]
    record = _answerable(best)
    derivative = _derivative(best, record)
    return Located(
        phase=_phase(best, record, leaves),
        origin=_origin(best, trace, leaves, finder),
        others=_others(ranked, record, trace, leaves, finder),
        chain=_chain(best, trace.records[first]),
        upstream=upstream(record, trace),
        incoming=incoming(derivative, trace) if derivative is not None else (),
        leaves=tuple(leaves.values()),
    )


def benign(trace: Trace, symptom: Sequence[Tensor]) -> tuple[Operation, ...]:
    """Operations that made something non-finite of which nothing reached the symptom's tensors, earliest first.

    Masks that a softmax absorbed, branches that were not selected, what was computed and thrown away; without what
    else the origin of the symptom led to. Cost: that of `locate`, for each bad tensor of the symptom.
    """
    guilty: set[int] = set()
    for tensor in symptom:
        last = trace.bad_writer(tensor)
        if last is not None:
            guilty |= walk_back(trace.records, last, Touch.at(tensor, "symptom"), _bad_elements(tensor)).passed
    found = []
    for record in trace.records:
        if any(written.bad for written in record.writes) and record.index not in guilty:
            if any(writing.record in guilty for read in record.reads if read.bad for writing in read.bad_writings()):
                guilty.add(record.index)
            else:
                found.append(record.operation())
    return tuple(found)


def _bad_elements(tensor: Tensor) -> Tensor | None:
    """Which elements are not finite; None (all that the trace saw) for sparse and 8-bit tensors."""
    if tensor.layout != torch.strided or tensor.element_size() == 1:
        return None
    return ~torch.isfinite(tensor.detach()).cpu()


def _leaf(stats: TensorStats, known: tuple[LeafKind, str] | None) -> Leaf:
    kind, name = known or ("external", stats.name)
    return Leaf(kind=kind, name=name, stats=replace(stats, name=name))


def _preference(birth: Birth) -> tuple[int, int]:
    """Computed births first, then what came in from outside, then constants; earlier ones first."""
    if birth.kind in {"infinity", "nan"}:
        return (0, birth.record.index)
    if birth.kind == "leaf" and not birth.is_placed:
        return (0, birth.record.index)
    return (1, (birth.became_nan or birth.record).index)


def _is_placed(birth: Birth, leaves: Leaves) -> bool:
    """An infinity that somebody placed on purpose: a fill, or a tensor from outside that holds infinities only.

    No parameter is a mask, and nothing that an optimizer keeps.
    """
    if birth.kind == "constant":
        return True
    leaf = leaves.get(birth.touch.storage)
    if birth.kind != "leaf" or birth.became_nan is None or (leaf is not None and leaf.kind in _NEVER_MASKS):
        return False
    if bool(_any(birth.touch.nan, birth.relevant)):
        return False
    stats = birth.touch.stats
    return stats is not None and not stats.min and not stats.max  # infinities beside zeros: a mask, and no data


def _any(mask: Tensor | None, relevant: Tensor) -> Tensor:
    return (mask & relevant).any() if mask is not None else torch.zeros((), dtype=torch.bool)


def _answerable(birth: Birth) -> Record:
    """The operation that is to be named: a constant is innocent until something makes NaN of it."""
    if birth.became_nan is None:
        return birth.record
    return birth.became_nan if birth.is_placed or _spread_by_clipping(birth) else birth.record


def _spread_by_clipping(birth: Birth) -> bool:
    """A gradient that merely overflowed, and that clipping by an infinite norm made NaN; a singular slope stays."""
    clipped = birth.became_nan is not None and birth.became_nan.api.startswith("clip_grad")
    return clipped and birth.record.function in _PRODUCTS


def _phase(birth: Birth, record: Record, leaves: Leaves) -> Phase:
    if birth.kind == "leaf" and record is birth.record:
        leaf = leaves.get(birth.touch.storage)
        if leaf is not None:
            return "data" if leaf.kind in _DATA else "state"
    return "backward" if _derivative(birth, record) is not None else record.phase


def _origin(birth: Birth, trace: Trace, leaves: Leaves, finder: SampleFinder) -> Origin:
    record = _answerable(birth)
    named = trace.records[record.forward] if record.forward is not None else record
    derivative = _derivative(birth, record)
    turn = None if record is birth.record else birth.turn
    touch, relevant = (birth.touch, birth.relevant) if turn is None else (turn.touch, turn.relevant)
    leaf = leaves.get(birth.touch.storage) if birth.kind == "leaf" else None
    shown = derivative or record
    return Origin(
        operation=named.operation(),
        derivative=derivative.operation() if derivative is not None else None,
        leaf=leaf if record is birth.record and not birth.is_placed else None,
        elements=tuple(e for e in shown.elements if _is_relevant(e.index, relevant))[:_MOST_ELEMENTS],
        samples=() if leaf is not None and leaf.kind not in _DATA else finder.samples_of(record, touch, relevant),
        num_samples=finder.num_samples,
        module=named.module,
    )


def _derivative(birth: Birth, record: Record) -> Record | None:
    """The backward operation that failed: the origin itself, or the one that met its infinity (0 times inf)."""
    if record.phase == "backward":
        return record
    met = birth.became_nan
    return met if met is not None and met.phase == "backward" else None


def _is_relevant(index: tuple[int, ...], relevant: Tensor) -> bool:
    if len(index) != relevant.dim() or any(i >= n for i, n in zip(index, relevant.shape, strict=True)):
        return False  # an element of another output of the same operation
    return bool(relevant[index])


def _others(
    ranked: list[Birth], chosen: Record, trace: Trace, leaves: Leaves, finder: SampleFinder
) -> tuple[Origin, ...]:
    """Further operations that qualify, one each, earlier ones first."""
    found: dict[int, Birth] = {}
    for birth in ranked:
        record = _answerable(birth)
        if record is not chosen and birth.kind in {"infinity", "nan"}:
            found.setdefault(record.index, birth)
    return tuple(_origin(birth, trace, leaves, finder) for birth in list(found.values())[:8])


def _chain(birth: Birth, last: Record) -> tuple[Link, ...]:
    links: list[Link] = []
    role = "constant placed" if birth.is_placed else _ROLES.get(birth.kind)
    if role is not None:
        links.append(Link(role=role, operation=birth.record.operation()))
    if birth.became_nan is not None:
        links.append(Link(role="became nan", operation=birth.became_nan.operation()))
    return (*links, Link(role="visible", operation=last.operation()))


def _from_leaf_alone(trace: Trace, symptom: Sequence[Tensor], leaves: Leaves) -> Located:
    """The symptom's tensor was bad and nothing in the trace wrote it: it was so when the step began."""
    for tensor in symptom:
        leaf = leaves.get(storage_of(tensor))
        reader = next((r for r in trace.records if any(t.storage == storage_of(tensor) for t in r.reads)), None)
        if leaf is not None and reader is not None:
            origin = Origin(operation=reader.operation(), leaf=leaf, module=reader.module)
            return Located(phase="state", origin=origin, leaves=tuple(leaves.values()))
    return Located(phase="state", leaves=tuple(leaves.values()))
