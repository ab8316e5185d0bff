from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam

from evenkeel.locate.record import Record
from evenkeel.locate.trace import Trace

INF = math.inf


def traced(call: Callable[[], object]) -> Trace:
    """A trace of one call."""
    with Trace(lambda: "here") as trace:
        trace.begin()
        call()
    return trace


def only(trace: Trace, function: str) -> Record:
    """The one record of a function."""
    (found,) = [r for r in trace.records if r.function == function]
    return found


def test_record_of_a_healthy_operation() -> None:
    """Ranges of inputs and outputs, numbers, module, phase; no masks and no elements."""
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0], [4.0]])
    record = only(traced(lambda: torch.mul(a, b)), "mul")
    assert (record.index, record.op, record.phase, record.module) == (0, "aten.mul.Tensor", "forward", "here")
    assert record.pointwise
    operation = record.operation()
    assert [(s.name, s.shape, s.min, s.max) for s in operation.inputs] == [
        ("self", (1, 2), 1.0, 2.0),
        ("other", (2, 1), 3.0, 4.0),
    ]
    assert [(s.name, s.shape, s.min, s.max) for s in operation.outputs] == [("out", (2, 2), 3.0, 8.0)]
    assert not any(t.bad for t in (*record.reads, *record.writes))
    assert record.elements == ()


def test_bad_output_is_counted_exactly_and_inputs_are_looked_at() -> None:
    """With something bad there are counts, masks and the offending elements with their operands."""
    a, b = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 0.0, 1.0])
    record = only(traced(lambda: a / b), "div")
    (out,) = record.writes
    assert out.stats is not None
    assert (out.stats.num_nan, out.stats.num_posinf, out.stats.min, out.stats.max) == (1, 1, 2.0, 2.0)
    assert out.nan is not None
    assert out.nan.tolist() == [True, False, False]
    assert out.nonfinite().tolist() == [True, True, False]
    assert [s.num_zero for s in record.operation().inputs] == [1, 2]
    assert [(e.index, e.operands) for e in record.elements] == [((0,), (0.0, 0.0)), ((1,), (1.0, 0.0))]
    assert [str(e.result) for e in record.elements] == ["nan", "inf"]


def test_elements_show_births_before_what_was_bad_already() -> None:
    """Where some elements were bad before, those that were not are shown."""
    x = torch.tensor([math.nan, 0.0, 1.0])
    record = only(traced(lambda: torch.log(x)), "log")
    assert [(e.index, e.operands, e.result) for e in record.elements] == [((1,), (0.0,), -INF)]


def test_number_of_elements_is_limited() -> None:
    """A tensor that is bad throughout does not fill the case file."""
    record = only(traced(lambda: torch.log(torch.zeros(1000))), "log")
    assert 0 < len(record.elements) < 300
    assert record.writes[0].stats is not None
    assert record.writes[0].stats.num_neginf == 1000


def test_operands_of_a_broadcast_element() -> None:
    """The operand at the element's place, whatever its own shape."""
    a, b = torch.tensor([[5.0], [0.0]]), torch.tensor([0.0, 1.0])
    record = only(traced(lambda: torch.mul(a, 1.0) / b), "div")
    assert [(e.index, e.operands) for e in record.elements] == [((0, 0), (5.0, 0.0)), ((1, 0), (0.0, 0.0))]


@pytest.mark.parametrize(
    ("call", "function", "number"),
    [
        (lambda x: x.pow(0.5), "pow", 0.5),
        (lambda x: x * 1e30, "mul", 1e30),
        (lambda x: x / 0.25, "div", 0.25),
        (lambda x: x + 1e-8, "add", 1e-8),
        (lambda x: 2 - x, "rsub", 2.0),
        (lambda x: x.clamp(min=1e-6), "clamp", 1e-6),
        (lambda x: x.masked_fill(x > 0, -INF), "masked_fill", -INF),
    ],
)
def test_python_numbers_among_the_arguments_are_kept(
    call: Callable[[Tensor], Tensor], function: str, number: float
) -> None:
    """A factor, a constant under a root, a bound: causes look at them."""
    trace = traced(lambda: call(torch.ones(3)))
    assert any(number in r.scalars for r in trace.records if r.function == function)


def test_in_place_operation_reads_what_was_there_before() -> None:
    """The input of an in-place operation is gone afterwards; the trace kept its range and its place."""
    x = torch.tensor([1.0, 4.0])
    record = only(traced(lambda: x.sub_(4).log_()), "log")
    (read,) = record.reads
    assert read.stats is not None
    assert (read.stats.min, read.stats.max, read.stats.num_zero) == (-3.0, 0.0, 1)
    assert record.writes[0].storage == read.storage
    assert [(e.index, e.operands[0]) for e in record.elements] == [((0,), -3.0), ((1,), 0.0)]


def test_writer_of_a_read_is_the_last_operation_that_wrote_the_memory() -> None:
    """Through views and in-place writes."""

    def call() -> None:
        x = torch.ones(2, 3)
        y = x.t()
        x.mul_(2)
        y.exp()

    trace = traced(call)
    exp = only(trace, "exp")
    assert [trace.records[r.writer].function for r in exp.reads if r.writer is not None] == ["mul"]


def test_leaves_are_what_no_operation_wrote() -> None:
    """A tensor from outside is described once, as it was first read."""
    outside, other = torch.tensor([1.0, 5.0]), torch.tensor([2.0])

    def call() -> None:
        (outside * other).log()
        outside.mul_(100)

    trace = traced(call)
    assert sorted((s.min, s.max) for s in trace.leaves.values()) == [(1.0, 5.0), (2.0, 2.0)]


def test_unfilled_memory_is_not_judged() -> None:
    """What `empty` returns may hold anything, and nothing has been computed yet."""

    def call() -> Tensor:
        made = torch.empty(1000)
        made.fill_(math.nan)
        del made
        again = torch.empty(1000)
        again.zero_()
        return again + 1

    trace = traced(call)
    assert [r.function for r in trace.records if any(w.bad for w in r.writes)] == ["fill"]


def test_memory_used_again_by_a_tensor_from_outside_is_not_mistaken() -> None:
    """NumPy data enters without an operation, perhaps where a dead tensor of the step lay."""
    names = []
    with Trace(lambda: "") as trace:
        trace.begin()
        for number in range(50):
            dead = torch.full((64,), math.nan).neg()
            del dead
            fresh = torch.from_numpy(np.full(64, float(number + 1), dtype=np.float32))
            fresh.exp()
            names.append((trace.records[-1].function, trace.records[-1].reads[0].writer))
            del fresh
    assert {writer for name, writer in names if name == "exp"} == {None}
    assert len(names) == 50


def test_backward_operation_knows_its_forward_operation() -> None:
    """Line and module of the forward operation; the phase is backward."""
    x = torch.ones(2, requires_grad=True)

    def call() -> None:
        y = torch.sqrt(x)  # forward line
        z = y * 3
        z.sum().backward()

    trace = traced(call)
    backward = [r for r in trace.records if r.phase == "backward" and r.forward is not None]
    by_forward = {trace.records[r.forward or 0].function for r in backward}
    assert {"sqrt", "mul", "sum"} <= by_forward
    roots = [r for r in backward if trace.records[r.forward or 0].function == "sqrt"]
    assert all(r.place is not None and r.place.source.endswith("# forward line") for r in roots)
    assert len(roots) > 0


def test_operations_after_backward_are_forward_again() -> None:
    """An accumulated step has several forwards."""
    x = torch.ones(2, requires_grad=True)

    def call() -> None:
        x.exp().sum().backward()
        x.exp().sum().backward()

    phases = [(r.function, r.phase) for r in traced(call).records if r.function in {"exp", "mul"}]
    assert phases == [("exp", "forward"), ("mul", "backward")] * 2


@pytest.mark.parametrize("foreach", [True, False])
def test_update_is_traced_as_such(*, foreach: bool) -> None:
    """The phase is the one that was set; parameters are written in place."""
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.full((3,), 1e30)
    optimizer = SGD([parameter], lr=1e30, foreach=foreach)
    with Trace(lambda: "") as trace:
        trace.begin()
        trace.phase = "optimizer"
        optimizer.step()
    writer = trace.bad_writer(parameter)
    assert writer is not None
    record = trace.records[writer]
    assert record.phase == "optimizer"
    assert record.function == "add"
    assert record.place is not None
    assert record.place.source == "optimizer.step()"


def test_fused_update_is_traced() -> None:
    """One operation writes parameters and moments of a list."""
    parameters = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))]
    parameters[0].grad = torch.zeros(3)
    parameters[1].grad = torch.tensor([0.0, math.nan])
    optimizer = Adam(parameters, fused=True)
    with Trace(lambda: "") as trace:
        trace.begin()
        optimizer.step()
    assert trace.bad_writer(parameters[0]) is None
    assert trace.bad_writer(parameters[1]) is not None


def test_overwritten_memory_is_healthy_again() -> None:
    """A bad tensor that was filled anew is no longer bad."""
    x = torch.zeros(4)

    def call() -> None:
        x.log_()
        x.fill_(1.0)

    trace = traced(call)
    assert trace.bad_writer(x) is None


def test_part_that_is_overwritten_leaves_the_rest_bad() -> None:
    """Writing into a view mends that part only."""
    x = torch.zeros(4)

    def call() -> None:
        x.log_()
        x[:2].fill_(1.0)

    trace = traced(call)
    writer = trace.bad_writer(x)
    assert writer is not None
    assert trace.records[writer].function == "log"


def test_batch_norm_statistics_are_written_in_training() -> None:
    """The schema does not declare it; a NaN batch poisons the running statistics."""
    norm = nn.BatchNorm1d(2)
    trace = traced(lambda: norm(torch.tensor([[1.0, math.nan], [2.0, 1.0]])))
    assert norm.running_mean is not None
    assert norm.running_mean.isnan().tolist() == [False, True]
    writer = trace.bad_writer(norm.running_mean)
    assert writer is not None
    assert trace.records[writer].function == "batch_norm"


def test_begin_forgets_everything() -> None:
    """A trace can begin anew, as it does at the first batch of the failing step."""
    x = torch.zeros(3)
    with Trace(lambda: "") as trace:
        trace.begin()
        x.log_()
        trace.phase = "optimizer"
        trace.begin()
        assert (trace.records, trace.leaves, trace.bad_writer(x), trace.phase) == ([], {}, None, "forward")
        x.exp()
    assert [r.index for r in trace.records] == [0]


def test_sparse_quantities_and_whole_numbers_pass() -> None:
    """Tensors that cannot be bad, and gradients that are sparse."""
    embedding = nn.Embedding(5, 2, sparse=True)
    trace = traced(lambda: embedding(torch.tensor([1, 3])).log().sum().backward())
    assert len(trace.records) > 3
    assert embedding.weight.grad is not None
    assert embedding.weight.grad.is_sparse


def test_bad_tensors_are_not_kept_either() -> None:
    """Masks are kept, one byte an element; the values are not."""
    made: list[weakref.ref[Tensor]] = []

    def call() -> None:
        bad = torch.log(torch.zeros(3))
        made.append(weakref.ref(bad))
        bad.sum()

    trace = traced(call)
    gc.collect()
    assert made[0]() is None
    assert any(w.bad for r in trace.records for w in r.writes)
