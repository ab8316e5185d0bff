from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from evenkeel.locate.influence import influence
from evenkeel.locate.trace import Trace

A = torch.arange(1.0, 13).reshape(3, 4)
B = torch.arange(2.0, 14).reshape(3, 4)
SQUARE = torch.arange(1.0, 17).reshape(4, 4)
ROW, COLUMN = torch.arange(1.0, 5), torch.arange(1.0, 4)[:, None]

CASES: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "add": (torch.add, (A, B)),
    "broadcast row": (torch.mul, (A, ROW)),
    "broadcast column": (torch.sub, (A, COLUMN)),
    "broadcast number": (torch.div, (A, torch.tensor(2.0))),
    "exp": (torch.exp, (A,)),
    "where": (lambda a, b: torch.where(a > 3, a, b), (A, B)),
    "masked_fill": (lambda a: a.masked_fill(a > 3, 0.0), (A,)),
    "softmax rows": (lambda a: a.softmax(1), (A,)),
    "softmax columns": (lambda a: a.softmax(0), (A,)),
    "log_softmax": (lambda a: a.log_softmax(-1), (A,)),
    "cumsum": (lambda a: a.cumsum(0), (A,)),
    "sum all": (torch.sum, (A,)),
    "sum rows": (lambda a: a.sum(1), (A,)),
    "sum columns kept": (lambda a: a.sum(0, keepdim=True), (A,)),
    "sum both": (lambda a: a.sum((0, 1)), (A,)),
    "mean": (lambda a: a.mean(-1), (A,)),
    "amax": (lambda a: a.amax(0), (A,)),
    "max": (lambda a: a.max(dim=1).values, (A,)),
    "logsumexp": (lambda a: a.logsumexp(1), (A,)),
    "var": (lambda a: a.var(1), (A,)),
    "norm": (lambda a: a.norm(dim=1), (A,)),
    "prod": (lambda a: a.prod(1), (A,)),
    "mm": (torch.mm, (A, SQUARE)),
    "addmm": (torch.addmm, (ROW, A, SQUARE)),
    "addmm column": (torch.addmm, (COLUMN, A, SQUARE)),
    "bmm": (torch.bmm, (A[None].repeat(2, 1, 1), SQUARE[None].repeat(2, 1, 1))),
    "baddbmm": (torch.baddbmm, (ROW, A[None].repeat(2, 1, 1), SQUARE[None].repeat(2, 1, 1))),
    "mv": (torch.mv, (A, ROW)),
    "cat": (lambda a, b: torch.cat([a, b]), (A, B)),
    "gather": (lambda a: a.gather(1, torch.zeros(3, 2, dtype=torch.int64)), (A,)),
    "index": (lambda a: a[torch.tensor([2, 0])], (A,)),
    "roll": (lambda a: a.roll(1, 1), (A,)),
    "flip": (lambda a: a.flip(0), (A,)),
    "conv": (lambda a: torch.nn.functional.conv1d(a[None], torch.ones(2, 3, 2)), (A,)),
    "copy": (lambda a: torch.zeros(2, 3, 4).copy_(a), (A,)),
    "layer_norm": (lambda a: torch.nn.functional.layer_norm(a, (4,)), (A,)),
    "cdist": (torch.cdist, (A, B)),
}
EXACT = [
    "add", "broadcast row", "broadcast column", "broadcast number", "exp", "masked_fill",
    "softmax rows", "softmax columns", "log_softmax", "sum all", "sum rows", "sum columns kept", "sum both", "mean",
    "logsumexp", "var", "norm", "prod", "mm", "addmm", "addmm column", "bmm", "baddbmm",
]  # fmt: skip


def reached(call: Callable[..., Tensor], inputs: tuple[Tensor, ...], which: int, spot: tuple[int, ...]) -> Tensor:
    """The twin: put a NaN into one element of an input and see which elements of the output turn NaN."""
    spoiled = [t.clone() for t in inputs]
    spoiled[which][spot] = float("nan")
    return call(*spoiled).isnan()


def spots(tensor: Tensor) -> list[tuple[int, ...]]:
    """Every index."""
    return [tuple(i) for i in torch.ones(tensor.shape).nonzero().tolist()]


@pytest.mark.parametrize("name", CASES)
def test_influence_never_leaves_an_element_out(name: str) -> None:
    """For every pair of elements: if a NaN here shows there, then here is among the influences of there."""
    call, inputs = CASES[name]
    num_reached = 0
    for which, tensor in enumerate(inputs):
        for spot in spots(tensor):
            out = reached(call, inputs, which, spot)
            spoiled = [t.clone() for t in inputs]
            spoiled[which][spot] = float("nan")
            with Trace(lambda: "") as trace:
                trace.begin()
                call(*spoiled)
            for record in (r for r in trace.records if any(w.bad for w in r.writes)):
                written = next(w for w in record.writes if w.bad)
                read = [t for t in record.reads if t.bad]
                relevant = written.nonfinite()
                found = [influence(record, written, relevant, t) for t in read]
                assert all(f.shape == t.shape for f, t in zip(found, read, strict=True))
                assert any(bool((f & t.nonfinite()).any()) for f, t in zip(found, read, strict=True))
                num_reached += 1
            assert bool(out.any()) == any(w.bad for r in trace.records[-1:] for w in r.writes)
    assert num_reached > 0


@pytest.mark.parametrize("name", EXACT)
def test_influence_is_exact(name: str) -> None:
    """For these the mask holds exactly the elements whose NaN would show."""
    call, inputs = CASES[name]
    with Trace(lambda: "") as trace:
        trace.begin()
        result = call(*inputs)
    record = trace.records[-1]
    written = record.writes[0]
    reads = {r.storage: r for r in record.reads}
    assert written.shape == result.shape
    for which, tensor in enumerate(inputs):
        read = reads[tensor.untyped_storage()._cdata]  # noqa: SLF001  what the trace itself goes by
        shown = {spot: reached(call, inputs, which, spot) for spot in spots(tensor)}
        for there in spots(result):
            relevant = torch.zeros(result.shape, dtype=torch.bool)
            relevant[there] = True
            found = influence(record, written, relevant, read).reshape(tensor.shape)
            assert {s for s in shown if found[s]} == {s for s in shown if shown[s][there]}, (which, there)


def test_lists_are_matched_by_position() -> None:
    """The second tensor of a list operation comes from the second of each list."""
    with Trace(lambda: "") as trace:
        trace.begin()
        torch._foreach_mul([A, B], [B, A])  # noqa: SLF001  as optimizers do
    record = trace.records[-1]
    assert [w.name for w in record.writes] == ["out[0]", "out[1]"]
    relevant = torch.ones(3, 4, dtype=torch.bool)
    reached_by = {r.name: bool(influence(record, record.writes[1], relevant, r).any()) for r in record.reads}
    assert reached_by == {"self[0]": False, "self[1]": True, "other[0]": False, "other[1]": True}
