"""Index, scatter, cat and views in place, on random shapes: what a NaN shows is what the walk finds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from evenkeel.locate.flow import walk_back
from evenkeel.locate.influence import influence
from evenkeel.locate.record import Touch
from evenkeel.locate.trace import Trace

Move = Callable[[Tensor], Tensor]
NAN = float("nan")


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, ...]:
    """One to three dimensions of up to four."""
    return tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))


@st.composite
def moves(draw: st.DrawFn, shape: tuple[int, ...]) -> Move:
    """An operation that moves or adds up elements of a tensor of that shape."""
    dim = draw(st.integers(0, len(shape) - 1))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    count = draw(st.integers(1, 5))
    rows = torch.randint(0, shape[dim], (count,), generator=generator)
    same = torch.randint(0, shape[dim], shape, generator=generator)
    other = torch.ones(shape)
    mask = torch.rand(shape, generator=generator) < 0.5
    more = [*shape]
    more[dim] = count
    source = torch.ones(more)
    put = torch.randperm(shape[dim], generator=generator)[: min(count, shape[dim])]
    part = source.narrow(dim, 0, len(put)) if count >= len(put) else source
    choices: list[Move] = [
        lambda v: v.index_select(dim, rows),
        lambda v: v.gather(dim, same),
        lambda v: v[(slice(None),) * dim + (rows,)],
        lambda v: v[mask],
        lambda v: torch.cat([source, v, other], dim),
        lambda v: torch.stack([other, v], dim),
        lambda v: other.scatter(dim, same, v) if shape[dim] == 1 else other.scatter_add(dim, same, v),
        lambda v: torch.ones(shape).index_add_(dim, torch.arange(shape[dim]), v),
        lambda v: v.index_copy(dim, put, part),
        lambda v: torch.where(mask, v, other),
        lambda v: v.masked_fill(mask, 2.0),
        lambda v: torch.zeros(shape).masked_scatter(mask, v),
        lambda v: torch.nn.functional.pad(v, (1, 2)),
        lambda v: v.roll(count, dim).flip(dim),
        lambda v: v.repeat_interleave(2, dim),
        lambda v: v.narrow(dim, 0, 1).expand(shape) * 1.0,
        lambda v: v.cumsum(dim),
    ]
    return draw(st.sampled_from(choices))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_moved_elements_are_followed_exactly(data: st.DataObject) -> None:
    """Behind each element of the result lie just those whose NaN would show there."""
    shape = data.draw(shapes())
    move = data.draw(moves(shape))
    x = torch.rand(shape) + 1
    if not move(x).numel():
        return
    with Trace(lambda: "") as trace:
        trace.begin()
        result = move(torch.full(shape, NAN))
    spot = data.draw(st.sampled_from(torch.ones(result.shape).nonzero().tolist()))
    relevant = torch.zeros(result.shape, dtype=torch.bool)
    relevant[tuple(spot)] = True
    found = _behind(trace, result, relevant, shape)
    for place in torch.ones(shape).nonzero().tolist():
        spoilt = x.clone()
        spoilt[tuple(place)] = NAN
        assert bool(found[tuple(place)]) == bool(move(spoilt)[tuple(spot)].isnan()), (place, spot)


def _behind(trace: Trace, result: Tensor, relevant: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The elements of the input, through one operation or several."""
    last = trace.bad_writer(result)
    if last is None or not bool((relevant & result.isnan()).any()):
        return torch.zeros(shape, dtype=torch.bool)
    births = walk_back(trace.records, last, Touch.at(result, "result"), relevant).births
    found = torch.zeros(shape, dtype=torch.bool)
    for birth in births:
        if birth.kind == "leaf" or birth.record.function == "full":
            found |= birth.relevant.reshape(shape) if birth.relevant.shape == shape else birth.relevant.any()
    return found


@st.composite
def parts(draw: st.DrawFn, rows: int, columns: int) -> tuple[slice, slice]:
    """A rectangle of a table."""
    top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
    height, width = draw(st.integers(1, rows - top)), draw(st.integers(1, columns - left))
    return slice(top, top + height), slice(left, left + width)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_last_writer_of_each_part_is_found(data: st.DataObject) -> None:
    """A table is filled by rectangles, good and bad ones, through any view; then a part of it is summed."""
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    writers = torch.zeros(rows, columns, dtype=torch.int64)  # the twin: who wrote each place last
    bad: list[int] = []
    with Trace(lambda: "") as trace:
        trace.begin()
        table = torch.zeros(rows, columns) if data.draw(st.booleans()) else torch.empty(rows, columns).fill_(1)
        for number in range(1, data.draw(st.integers(1, 6)) + 1):
            part = data.draw(parts(rows, columns))
            seen = table.T[part[1], part[0]] if data.draw(st.booleans()) else table[part]
            if data.draw(st.booleans()):
                seen.copy_(torch.sqrt(torch.full(seen.shape, -float(number))))
                bad.append(number)
            else:
                seen.fill_(float(number))
            writers[part] = number
        part = data.draw(parts(rows, columns))
        total = table[part].sum()
    expected = {number for number in bad if bool((writers[part] == number).any())}
    last = trace.bad_writer(total)
    assert (last is None) == (not expected)
    if last is None:
        return
    births = walk_back(trace.records, last, Touch.at(total, "total")).births
    assert {birth.record.function for birth in births} == {"sqrt"}
    made = [r.index for r in trace.records if r.function == "sqrt"]
    assert {bad[made.index(birth.record.index)] for birth in births} == expected


def test_influence_of_a_part_on_all_is_everything_where_no_rule_is_known() -> None:
    """An operation of somebody's own: nothing is left out."""
    x = torch.rand(6)
    with Trace(lambda: "") as trace:
        trace.begin()
        torch.histc(x, 3)
    (record,) = trace.records
    relevant = torch.tensor([True, False, False])
    assert influence(record, record.writes[0], relevant, record.reads[0]).all()
