from __future__ import annotations

import gc
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.optim import SGD

from evenkeel.locate import memory, trace
from evenkeel.locate.content import content_of
from evenkeel.locate.record import Record, Touch
from evenkeel.locate.trace import Trace

NAN = math.nan


def traced(call: Callable[[], object]) -> Trace:
    """A trace of one call."""
    with Trace(lambda: "") as recorded:
        recorded.begin()
        call()
    return recorded


def read_by(found: Trace, function: str) -> Touch:
    """The first thing that an operation of that name read."""
    record: Record = next(r for r in found.records if r.function == function)
    return record.reads[0]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of all tensors that were looked at."""
    seen: list[tuple[int, ...]] = []

    def noted(tensor: Tensor) -> object:
        seen.append(tuple(tensor.shape))
        return content_of(tensor)

    monkeypatch.setattr(memory, "content_of", noted)
    monkeypatch.setattr(trace, "content_of", noted)
    return seen


def test_each_tensor_is_looked_at_once(looks: list[tuple[int, ...]]) -> None:
    """When it is written, or first read; reading it again, transposed or reshaped, costs nothing."""
    weight = torch.ones(3, 4)

    def call() -> None:
        y = weight * 2
        y.T.exp().sum()
        y.reshape(2, 6) + y.reshape(2, 6)
        weight.T @ weight
        weight[:2].neg()

    traced(call)
    assert looks == [(3, 4), (3, 4), (4, 3), (), (2, 6), (4, 4), (2, 4)]  # weight, y, exp, sum, the sum, product, neg


def test_part_of_a_bad_tensor_is_looked_at(looks: list[tuple[int, ...]]) -> None:
    """Whether the part is bad cannot be told from the counts of the whole."""
    x = torch.tensor([[NAN, 1.0], [2.0, 3.0]])
    found = traced(lambda: (x[1].exp(), x[0].exp(), x.T.exp()))
    reads = [r.reads[0] for r in found.records if r.function == "exp"]
    assert [read.bad for read in reads] == [False, True, True]
    assert reads[2].nonfinite().tolist() == [[True, False], [False, False]]


def test_part_of_unseen_memory_is_no_promise_for_the_rest() -> None:
    """The first read of a leaf saw one row, repeated; another row is bad."""
    x = torch.tensor([[1.0, 1.0], [NAN, 3.0]])
    found = traced(lambda: (x[:1].expand(4, 2).exp(), x.sum()))
    assert not read_by(found, "exp").bad
    assert read_by(found, "sum").bad


def test_memory_written_past_the_trace_is_looked_at_where_something_is_born() -> None:
    """NumPy writes without an operation; the reader's input is seen to be bad all the same."""
    shared = np.ones(4, dtype=np.float32)
    outside = torch.from_numpy(shared)

    def call() -> None:
        outside.add_(1)
        shared[2] = NAN
        outside.exp()

    found = traced(call)
    assert read_by(found, "exp").bad
    assert read_by(found, "exp").nonfinite().tolist() == [False, False, True, False]


def test_history_begins_anew_when_all_is_overwritten() -> None:
    """Parts are remembered, one for each writing, until the whole is written."""

    def call() -> None:
        table = torch.zeros(4, 2)
        table[:2] = torch.ones(2, 2)
        table[2:] = torch.ones(2, 2)
        table.exp()
        table.copy_(torch.ones(4, 2))
        table.log()

    found = traced(call)

    def length(touch: Touch) -> int:
        count, writing = 0, touch.history
        while writing is not None:
            count, writing = count + 1, writing.earlier
        return count

    assert length(read_by(found, "exp")) == 3
    assert length(read_by(found, "log")) == 1


def tensors_alive() -> int:
    """How many tensors Python knows."""
    gc.collect()
    return sum(issubclass(type(o), Tensor) for o in gc.get_objects())


@pytest.mark.parametrize("value", [1.0, NAN])
def test_trace_keeps_no_tensor(value: float) -> None:
    """Of a training step, healthy or not, all tensors are gone when the step is, but the kept indices."""
    model = nn.Sequential(nn.Embedding(9, 8), nn.Linear(8, 8), nn.BatchNorm1d(5), nn.GELU(), nn.Linear(8, 1))
    optimizer = SGD(model.parameters(), lr=0.1)
    words = torch.randint(0, 9, (4, 5))
    model(words).sum().backward()
    optimizer.step()
    before = tensors_alive()

    def step() -> None:
        optimizer.zero_grad(set_to_none=False)
        (model(words) * value).sum().backward()
        optimizer.step()

    found = traced(step)
    kept = {id(t) for r in found.records if r.call is not None for t in indices_in(r)}
    assert tensors_alive() - before == len(kept) == 1  # the words, for the embedding and its derivative
    assert len(found.records) > 30


def indices_in(record: Record) -> list[Tensor]:
    """The indices that a record keeps."""
    values = [] if record.call is None else [*record.call.args, *record.call.kwargs.values()]
    flat = [part for value in values for part in (value if isinstance(value, list) else [value])]
    return [value for value in flat if isinstance(value, Tensor)]


def test_indices_are_kept_once_and_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One copy for all who use it; beyond the limit none, but for an operation that made something bad."""
    monkeypatch.setattr(memory, "_MOST_INDEX_BYTES", 100)
    small, large = torch.zeros(10, dtype=torch.int64), torch.zeros(30, dtype=torch.int64)
    x, bad = torch.ones(3), torch.full((3,), NAN)
    found = traced(lambda: (x[small], x[small].exp(), x[large], bad[large]))
    calls = [r.call for r in found.records if r.kind == "index"]
    assert [c is not None and c.is_complete for c in calls] == [True, True, False, True]
    first, second = indices_in(found.records[0]), indices_in(found.records[1])
    assert first[0] is second[0]
    small.add_(1)
    assert first[0].tolist() == [0] * 10


def test_large_memory_is_not_copied_before_it_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operands of an operation in place are shown where they are small; its ranges always."""
    x = torch.tensor([0.0, 1.0])
    small = traced(lambda: x.clone().log_()).records[-1]
    assert [e.operands for e in small.elements] == [(0.0,)]
    monkeypatch.setattr(trace, "_MOST_COPIED", 1)
    large = traced(lambda: x.clone().log_()).records[-1]
    assert [e.operands for e in large.elements] == [()]
    assert large.reads[0].stats is not None
    assert (large.reads[0].stats.min, large.reads[0].stats.max) == (0.0, 1.0)


def test_masks_of_a_spoilt_tensor_take_no_memory() -> None:
    """All NaN: two masks that are told by a word; some NaN: two bits an element."""
    found = traced(lambda: (torch.ones(800, 10) * NAN, torch.eye(800, 10) / 0))
    whole, some = (next(w for w in r.writes) for r in found.records if r.function in {"mul", "div"})
    bits = [[m.bits for m in (t.content.nan, t.content.inf) if m] for t in (whole, some) if t.content]
    assert bits[0] == [None, None]
    assert [b.nbytes for b in bits[1] if b is not None] == [1000, 1000]


def test_storage_of_a_dead_tensor_is_freed() -> None:
    """Only its address is held."""
    made: list[StorageWeakRef] = []

    def call() -> None:
        big = torch.ones(1000).exp()
        made.append(StorageWeakRef(big.untyped_storage()))

    found = traced(call)
    gc.collect()
    assert made[0].expired()
    assert len(found.records) == 2


def test_nested_tensors_of_either_kind_pass() -> None:
    """Those with strides have no sizes; what is inside jagged ones is recorded."""

    def call() -> None:
        for layout in (torch.jagged, torch.strided):
            nested = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)], layout=layout)
            (nested * 2).relu()

    with pytest.warns(UserWarning, match="nested tensors"):
        found = traced(call)
    assert any(r.function == "relu" and r.writes for r in found.records)
