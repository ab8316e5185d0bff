from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from evenkeel.locate.flow import Birth, walk_back
from evenkeel.locate.record import Touch
from evenkeel.locate.trace import Trace

ROWS, COLUMNS = 3, 4
INF = math.inf


def weights(values: Tensor, rows: int, columns: int) -> Tensor:
    """A fixed matrix in the dtype of the values, without a zero."""
    return torch.linspace(0.2, 1.1, rows * columns, dtype=values.dtype).reshape(rows, columns)


def one_zero(v: Tensor) -> Tensor:
    """All ones but for one zero, in the middle."""
    keep = torch.ones_like(v)
    keep[1, 2] = 0
    return keep


def written_into_rows(v: Tensor) -> Tensor:
    """Copy into slices of memory that was made before."""
    table = torch.empty_like(v)
    table[:1] = v[:1]
    table[1:] = v[1:] * 2
    return table


def by_index(v: Tensor) -> Tensor:
    """Put rows where an index says."""
    return torch.zeros_like(v).index_put((torch.tensor([2, 0, 1]),), v)


Op = Callable[..., Tensor]

# Each keeps the shape of three rows and four columns, and finite values finite and of moderate size.
HARMLESS: dict[str, Op] = {
    "tanh": lambda v: v.tanh(),
    "sigmoid": lambda v: v.sigmoid(),
    "scaled": lambda v: v * 0.5 + 0.25,
    "in place": lambda v: v.clone().mul_(0.5).add_(0.125),
    "negative": lambda v: -v,
    "softmax of rows": lambda v: v.softmax(1),
    "softmax of columns": lambda v: v.softmax(0),
    "log_softmax": lambda v: v.tanh().log_softmax(-1),
    "minus mean": lambda v: v - v.mean(dim=1, keepdim=True),
    "minus max": lambda v: v - v.amax(dim=0, keepdim=True),
    "sum of all": lambda v: v + v.sum() * 0.01,
    "rows summed": lambda v: v.sum(dim=1)[:, None].expand(ROWS, COLUMNS) * 0.1,
    "matmul right": lambda v: v @ weights(v, COLUMNS, COLUMNS) * 0.25,
    "matmul left": lambda v: weights(v, ROWS, ROWS) @ v * 0.25,
    "transposed twice": lambda v: (v.T.contiguous() * 0.5).T,
    "flattened": lambda v: (v.reshape(-1) * 0.5).view(ROWS, COLUMNS),
    "slices joined": lambda v: torch.cat([v[:, 2:], v[:, :2]], dim=1),
    "rolled": lambda v: v.roll(1, dims=0),
    "first row only": lambda v: v[:1].expand(ROWS, COLUMNS) * 1.0,
    "last rows only": lambda v: torch.cat([v[1:], v[2:]]),
    "gathered": lambda v: v.gather(0, torch.tensor([[2, 1, 0, 0]] * ROWS)),
    "index put": by_index,
    "rows written": written_into_rows,
    "masked": lambda v: v.masked_fill(torch.eye(ROWS, COLUMNS, dtype=torch.bool), 0.5),
    "where bounded": lambda v: torch.where(v.abs() < 50, v, torch.ones_like(v)),
    "clamped": lambda v: v.clamp(-3, 3),
    "cumsum": lambda v: v.cumsum(1) * 0.25,
}
JOINING: dict[str, Op] = {
    "sum": lambda a, b: (a + b) * 0.5,
    "product": lambda a, b: a * b.tanh(),
    "difference": lambda a, b: a - b * 0.5,
    "maximum": torch.maximum,
    "batched product": lambda a, b: torch.bmm(a[None], b.T.tanh()[None])[0] @ weights(a, ROWS, COLUMNS) * 0.1,
    "half of each": lambda a, b: torch.cat([a[:, :2], b[:, 2:]], dim=1),
    "foreach": lambda a, b: torch._foreach_add([a, b], [b, a])[0] * 0.5,  # noqa: SLF001  as optimizers do
}
# The last operation of each is singular for finite inputs, in one element or in all.
SINGULAR: dict[str, Op] = {
    "log of zero": lambda v: torch.log((v.abs() + 0.1) * one_zero(v)),
    "log of negative": lambda v: torch.log(one_zero(v) * 2 - 1),
    "zero by zero": lambda v: torch.div((v + 9) * one_zero(v), one_zero(v)),
    "one by zero": lambda v: torch.div(v.abs() + 0.1, one_zero(v)),
    "overflow": lambda v: torch.exp(v.tanh() + 1e4 * (1 - one_zero(v))),
    "root of negative": lambda v: torch.sqrt(one_zero(v) - 0.5),
    "arc cosine": lambda v: torch.acos(2 - one_zero(v)),
    "power": lambda v: torch.pow(one_zero(v), -1.5),
    "everything": lambda v: torch.log(v * 0),
}
NAN_ONLY = ("log of negative", "zero by zero", "root of negative", "arc cosine")


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a small expression: what it does, and to which earlier values (0 is the input)."""

    name: str
    inputs: tuple[int, ...]

    def __call__(self, values: Sequence[Tensor]) -> Tensor:
        """Compute it."""
        op = HARMLESS.get(self.name) or JOINING.get(self.name) or SINGULAR[self.name]
        return op(*(values[i] for i in self.inputs))


@st.composite
def expressions(draw: st.DrawFn, planted: Sequence[str], num_planted: int) -> tuple[Node, ...]:
    """Up to eighteen nodes, `num_planted` of them singular; the last depends on a singular one."""
    nodes: list[Node] = []
    behind: set[int] = set()  # values that depend on a singular node
    turns = ["plant"] * num_planted + ["grow"] * draw(st.integers(0, 12))
    for turn in [*["grow"] * draw(st.integers(0, 4)), *draw(st.permutations(turns)), "grow"]:
        earlier = st.integers(0, len(nodes))
        if turn == "plant":
            clean = [i for i in range(len(nodes) + 1) if i not in behind]
            nodes.append(Node(draw(st.sampled_from(list(planted))), (draw(st.sampled_from(clean)),)))
            behind.add(len(nodes))
            continue
        main = draw(st.sampled_from(sorted(behind))) if behind else draw(earlier)
        if draw(st.integers(0, 2)):
            nodes.append(Node(draw(st.sampled_from(list(HARMLESS))), (main,)))
        else:
            nodes.append(Node(draw(st.sampled_from(list(JOINING))), (main, draw(earlier))))
        if behind & set(nodes[-1].inputs):
            behind.add(len(nodes))
    return tuple(nodes)


def traced(nodes: Sequence[Node]) -> tuple[Trace, Tensor, list[range]]:
    """Evaluate in float32 under a trace; which records belong to which node?"""
    values = [torch.linspace(0.3, 1.4, ROWS * COLUMNS).reshape(ROWS, COLUMNS)]
    spans = []
    with Trace(lambda: "") as trace:
        trace.begin()
        for node in nodes:
            begin = len(trace.records)
            values.append(node(values))
            spans.append(range(begin, len(trace.records)))
        loss = values[-1].sum()
    return trace, loss, spans


def births_of(trace: Trace, loss: Tensor) -> list[Birth]:
    """What the walk finds."""
    last = trace.bad_writer(loss)
    assert last is not None
    return walk_back(trace.records, last, Touch.at(loss, "loss")).births


def slow_births(nodes: Sequence[Node]) -> set[int]:
    """The twin: nodes that make bad of good and whose bad elements alone would spoil the result.

    Every operation is computed anew in float64 on copies. A candidate carries to the result if the result is still
    bad when all the other candidates' bad elements have been replaced by ones.
    """
    start = torch.linspace(0.3, 1.4, ROWS * COLUMNS).reshape(ROWS, COLUMNS).double()

    def evaluate(mended: set[int]) -> list[Tensor]:
        values = [start]
        for number, node in enumerate(nodes):
            value = node([v.clone() for v in values])
            values.append(torch.where(value.isfinite(), value, 1.0) if number in mended else value)
        return values

    def good(value: Tensor) -> bool:
        return bool(value.isfinite().all())

    values = evaluate(set())
    candidates = {
        number
        for number, node in enumerate(nodes)
        if not good(values[number + 1]) and all(good(values[i]) for i in node.inputs)
    }
    return {one for one in candidates if not good(evaluate(candidates - {one})[-1].sum())}


@given(expressions(planted=list(SINGULAR), num_planted=1))
@settings(max_examples=120, deadline=None)
def test_only_the_planted_operation_is_born_bad(nodes: tuple[Node, ...]) -> None:
    """With one singular operation in a random expression, the walk ends there and nowhere else."""
    trace, loss, spans = traced(nodes)
    expected = slow_births(nodes)
    assert math.isfinite(loss.item()) == (not expected)
    if not expected:
        return
    (planted,) = expected
    assert nodes[planted].name in SINGULAR
    births = births_of(trace, loss)
    assert {birth.record.index for birth in births} == {spans[planted][-1]}
    assert {birth.kind for birth in births} <= {"nan", "infinity"}
    assert all(bool((birth.touch.nonfinite() & birth.relevant).any()) for birth in births)


@given(expressions(planted=NAN_ONLY, num_planted=2))
@settings(max_examples=80, deadline=None)
def test_no_operation_that_carries_is_left_out(nodes: tuple[Node, ...]) -> None:
    """With two singular operations each one that spoils the result is found; more than those may be listed."""
    trace, loss, spans = traced(nodes)
    expected = slow_births(nodes)
    assume(expected)
    found = {birth.record.index for birth in births_of(trace, loss)}
    assert {spans[number][-1] for number in expected} <= found


@given(expressions(planted=NAN_ONLY, num_planted=2))
@settings(max_examples=40, deadline=None)
def test_walk_ends_at_singular_operations_only(nodes: tuple[Node, ...]) -> None:
    """What merely passes a bad value on is never called its birth."""
    trace, loss, spans = traced(nodes)
    assume(not math.isfinite(loss.item()))
    allowed = {span[-1] for node, span in zip(nodes, spans, strict=True) if node.name in SINGULAR}
    assert {birth.record.index for birth in births_of(trace, loss)} <= allowed


def kinds(make: Callable[[], Tensor]) -> list[tuple[str, str, str | None]]:
    """Kind and function of each birth, and where it became NaN."""
    with Trace(lambda: "") as trace:
        trace.begin()
        loss = make()
    return [
        (b.kind, b.record.function, b.became_nan.function if b.became_nan else None) for b in births_of(trace, loss)
    ]


ONES = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: torch.log(ONES - 1).sum(), [("infinity", "log", None)]),
        (lambda: torch.log(ONES - 2).sum(), [("nan", "log", None)]),
        (lambda: ONES.masked_fill(ONES > 0, -INF).softmax(1).sum(), [("constant", "masked_fill", "softmax")]),
        (lambda: torch.sum(torch.full((2, 3), INF) * (ONES - 1)), [("constant", "full", "mul")]),
        (lambda: torch.sum(torch.exp(ONES * 999) * (ONES - 1)), [("infinity", "exp", "mul")]),
        (
            lambda: torch.sum(torch.exp(ONES * 999) + torch.log(ONES - 1)),
            [("infinity", "log", "add"), ("infinity", "exp", "add")],
        ),
    ],
)
def test_kinds_of_birth(make: Callable[[], Tensor], expected: list[tuple[str, str, str | None]]) -> None:
    """Infinity, NaN, a constant that was placed, and where infinities became NaN."""
    assert kinds(make) == expected


def test_value_from_outside_is_a_leaf() -> None:
    """No operation of the step wrote it."""
    outside = torch.tensor([[1.0, INF, 3.0]])
    assert kinds(lambda: torch.sum(outside * 2)) == [("leaf", "mul", None)]


OVERWRITES: dict[str, Callable[[Tensor, Tensor], object]] = {
    "copy": lambda old, new: old.copy_(new),
    "slice": lambda old, new: old.__setitem__(slice(None), new),
    "out": lambda old, new: torch.mul(new, 2, out=old),
    "zero": lambda old, new: old.zero_().add_(new),
    "fill": lambda old, new: old.fill_(1).mul_(new),
    "random": lambda old, new: old.uniform_(1, 2).mul_(new),
    "foreach": lambda old, new: torch._foreach_copy_([old], [new]),
}


@pytest.mark.parametrize("name", OVERWRITES)
def test_memory_that_is_overwritten_is_not_read(name: str) -> None:
    """Old content, or the garbage of unfilled memory, reaches nothing."""
    old = torch.full((2, 3), math.nan)

    def make() -> Tensor:
        OVERWRITES[name](old, torch.log(ONES - 1))
        return old.sum()

    assert kinds(make) == [("infinity", "log", None)]


def test_parts_of_one_memory_lead_back_to_all_who_wrote_them() -> None:
    """A table filled by slices: the first slice's fault counts as much as the last one's."""

    def make() -> Tensor:
        table = torch.zeros(4, 3)
        table[:2] = torch.log(ONES - 2)
        table[2:] = torch.sqrt(ONES - 2)
        return table.sum()

    assert sorted(kinds(make)) == [("nan", "log", None), ("nan", "sqrt", None)]


def test_fault_in_the_first_part_is_found_though_a_later_write_was_bad_elsewhere() -> None:
    """The later bad write lies in rows that nobody reads."""

    def make() -> Tensor:
        table = torch.zeros(4, 3)
        table[:2] = torch.log(ONES - 2)
        table[2:] = torch.sqrt(ONES - 2)
        return table[:2].sum()

    assert kinds(make) == [("nan", "log", None)]


def test_mask_limits_the_walk_to_the_elements_asked_for() -> None:
    """A gradient of which only some elements are of interest."""
    with Trace(lambda: "") as trace:
        trace.begin()
        joined = torch.log(ONES - 1) * torch.tensor([1.0, 1.0, 1.0])
    last = trace.bad_writer(joined)
    assert last is not None
    wanted = torch.zeros(2, 3, dtype=torch.bool)
    wanted[0, 2] = True
    (birth,) = walk_back(trace.records, last, Touch.at(joined, "loss"), wanted).births
    assert torch.equal(birth.relevant, wanted)


BESIDE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "sum": (lambda v: v.sum(1), "sum"),
    "product": (lambda v: v @ torch.ones(2, 2), "mm"),
    "mean of squares": (lambda v: v.square().mean(1), "pow"),
    "convolution": (lambda v: torch.nn.functional.conv1d(v[:, None], torch.ones(1, 1, 2)), "convolution"),
    "cumsum": (lambda v: v.cumsum(1), "cumsum"),
    "scattered": (lambda v: torch.zeros(2).index_add(0, torch.tensor([0, 0, 1, 1]), v.flatten()), "index_add"),
}


@pytest.mark.parametrize("name", BESIDE)
def test_overflow_beside_an_older_fault_is_a_birth_of_its_own(name: str) -> None:
    """One row carries a NaN through the operation; the other overflows in it."""
    call, function = BESIDE[name]

    def make() -> Tensor:
        return call(torch.stack([torch.full((2,), 3e38), torch.sqrt(torch.tensor([-1.0, 2.0]))])).sum()

    assert {(kind, born) for kind, born, _ in kinds(make)} == {("nan", "sqrt"), ("infinity", function)}


def test_part_of_what_one_operation_wrote_leads_to_its_own_fault() -> None:
    """Gradients are views of one bucket; one of them is the symptom."""
    with Trace(lambda: "") as trace:
        trace.begin()
        bucket = torch.cat([torch.log(torch.zeros(2)), torch.sqrt(torch.tensor([-1.0, -1.0]))])
        gradient = bucket[2:]
    last = trace.bad_writer(gradient)
    assert last is not None
    births = walk_back(trace.records, last, Touch.at(gradient, "grad"), gradient.isnan()).births
    assert [birth.record.function for birth in births] == ["sqrt"]


def test_branch_that_was_not_selected_is_no_birth() -> None:
    """Both branches hold NaN in the same place; the condition tells which one came through."""

    def make() -> Tensor:
        taken, other = torch.sqrt(ONES - 2), torch.log(ONES - 2)
        return torch.where(ONES > 0, taken, other).sum()

    assert kinds(make) == [("nan", "sqrt", None)]
