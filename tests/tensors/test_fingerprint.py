"""The same bits, the same but for rounding, or other tensors."""

from __future__ import annotations

import math
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tensors.drawn import BAD, FLOATS, tensors
from torch import Tensor

from evenkeel.core.fingerprint import Likeness, least
from evenkeel.tensors.fingerprint import fingerprint

said_once = pytest.mark.filterwarnings("ignore:Sparse")


def likeness(one: list[Tensor], other: list[Tensor]) -> Likeness:
    """Of the fingerprints, which is the same both ways."""
    found = fingerprint(one).likeness(fingerprint(other))
    assert fingerprint(other).likeness(fingerprint(one)) == found
    return found


@given(tensors())
@settings(max_examples=200, deadline=None)
def test_fingerprint_is_the_same_for_equal_bits(tensor: Tensor) -> None:
    """A copy has the fingerprint of the original, whatever its strides."""
    assert likeness([tensor], [tensor.clone()]) == "bits"
    assert likeness([tensor], [tensor.contiguous()]) == "bits"


def with_payload(bits: int) -> Tensor:
    """A float32 NaN of the given bits between two ones."""
    (value,) = struct.unpack("<i", struct.pack("<I", bits))
    return torch.tensor([0x3F800000, value, 0x3F800000], dtype=torch.int32).view(torch.float32)


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000, 0x7F800001, 0x7FFFFFFF, 0xFF812345])
def test_fingerprint_takes_every_nan_as_the_same(bits: int) -> None:
    """Sign and payload of a NaN depend on the order of operations and say nothing about the failure."""
    assert with_payload(bits).isnan().tolist() == [False, True, False]
    assert likeness([with_payload(bits)], [torch.tensor([1.0, math.nan, 1.0])]) == "bits"


@given(tensors(), st.data())
@settings(max_examples=200, deadline=None)
def test_fingerprint_changes_with_one_element(tensor: Tensor, data: st.DataObject) -> None:
    """A fingerprint that missed a change would call a different failure the same."""
    if tensor.numel() == 0:
        return
    changed = tensor.clone(memory_format=torch.contiguous_format).reshape(-1)
    place = data.draw(st.integers(0, changed.numel() - 1))
    was = changed[place].float() if not tensor.is_complex() else changed[place]
    new = 1 if bool(was == 0) else 0
    changed[place] = torch.tensor(new).to(tensor.dtype)
    assert likeness([changed.reshape(tensor.shape)], [tensor]) != "bits"


def test_fingerprint_tells_zero_from_minus_zero_and_inf_from_nan() -> None:
    """Bits are compared, not values."""
    values = [[0.0], [-0.0], [math.inf], [-math.inf], [math.nan]]
    assert len({fingerprint([torch.tensor(v)]).bits for v in values}) == 5


def test_fingerprint_knows_shape_dtype_and_order() -> None:
    """The same bytes in another shape, dtype or order are another state."""
    zeros = torch.zeros(4)
    kinds = [[zeros], [zeros.reshape(2, 2)], [zeros[:2], zeros[2:]], [torch.zeros(4, dtype=torch.int32)], []]
    assert len({fingerprint(kind).bits for kind in kinds}) == 5
    one, two = torch.ones(2), torch.zeros(2)
    assert likeness([one, two], [two, one]) != "bits"


@said_once
def test_fingerprint_of_sparse_tensors_knows_where_the_values_are() -> None:
    """The same values in other rows are another gradient."""
    first = torch.sparse_coo_tensor(torch.tensor([[0, 1]]), torch.ones(2, 3), (4, 3))
    second = torch.sparse_coo_tensor(torch.tensor([[0, 2]]), torch.ones(2, 3), (4, 3))
    assert likeness([first], [first.clone()]) == "bits"
    assert likeness([first], [second]) != "bits"


def random(*shape: int, seed: int = 0) -> Tensor:
    """Values of different sizes, in float64."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return values * torch.logspace(-3, 3, shape[-1], dtype=torch.float64)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bad", [None, *BAD])
def test_sums_in_another_order_are_alike_but_for_rounding(dtype: torch.dtype, bad: float | None) -> None:
    """As those of `index_add` with several threads."""
    rows = random(64, 300).to(dtype)
    if bad is not None:
        rows[3, 7] = bad
    forth, back = torch.zeros(300, dtype=dtype), torch.zeros(300, dtype=dtype)
    for row in rows:
        forth += row
    for row in reversed(rows):
        back += row
    assert not torch.equal(forth[forth.isfinite()], back[back.isfinite()])
    assert likeness([forth, torch.ones(2)], [back, torch.ones(2)]) == "rounding"


def test_real_scatter_with_several_threads_is_alike() -> None:
    """Whether it differs in this run or not, it is never another one."""
    rows, index = random(64, 4000).float(), torch.arange(64) % 5
    results = []
    for _ in range(20):
        table = torch.zeros(5, 4000, requires_grad=True)
        table[index].backward(rows)
        assert table.grad is not None
        results.append(table.grad)
    assert all(likeness([results[0]], [result]) in ("bits", "rounding") for result in results)


@pytest.mark.parametrize("dtype", FLOATS)
def test_step_on_other_data_is_not_alike(dtype: torch.dtype) -> None:
    """Sizes differ by percents, in one tensor among many too."""
    same = [random(50, seed=seed).to(dtype) for seed in range(4)]
    assert likeness([*same, torch.full((20,), 1.0, dtype=dtype)], [*same, torch.full((20,), 1.2, dtype=dtype)]) == (
        "none"
    )
    assert likeness([torch.tensor(0.7, dtype=dtype)], [torch.tensor(0.9, dtype=dtype)]) == "none"


@pytest.mark.parametrize("bad", BAD)
def test_other_bad_elements_are_not_alike(bad: float) -> None:
    """Another place, another kind, one more."""
    values = random(50)
    values[3] = bad
    for place, other in [(4, bad), (3, math.nan if math.isinf(bad) else math.inf)]:
        changed = random(50)
        changed[place] = other
        assert likeness([values], [changed]) == "none"
    more = values.clone()
    more[9] = bad
    assert likeness([values], [more]) == "none"


def test_what_is_all_rounding_beside_the_rest_is_alike() -> None:
    """The gradient of a bias before a normalisation is 0, and computed as 1e-9 or 3e-9."""
    weight = random(20, 30).float()
    assert likeness([weight, torch.full((3,), 1e-9)], [weight, torch.full((3,), 3e-9)]) == "rounding"
    assert likeness([torch.full((3,), 1e-9)], [torch.full((3,), 3e-9)]) == "none"


def test_integers_have_no_rounding() -> None:
    """A label more is other data."""
    floats = random(5)
    assert likeness([floats, torch.tensor([1, 2])], [floats, torch.tensor([1, 3])]) == "none"
    assert likeness([floats, torch.tensor([True])], [floats, torch.tensor([False])]) == "none"


@given(tensors())
@settings(max_examples=200, deadline=None)
def test_whatever_has_the_same_bits_is_alike(tensor: Tensor) -> None:
    """All parts of a fingerprint are those of a copy, norms included, and no dtype is refused."""
    assert fingerprint([tensor]) == fingerprint([tensor.clone()])


def test_least_alike_decides() -> None:
    """Of several together."""
    assert least(()) == "bits"
    assert least(("bits", "rounding")) == "rounding"
    assert least(("rounding", "none", "bits")) == "none"
