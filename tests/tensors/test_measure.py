from __future__ import annotations

import cmath
import math
import struct
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from evenkeel.core.stats import TensorStats
from evenkeel.tensors.measure import can_be_nonfinite, dense, describe, digest, is_finite, quick, suspicion

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SMALL_FLOATS = [d for name in ("float8_e4m3fn", "float8_e5m2") if (d := getattr(torch, name, None)) is not None]
OTHERS = [torch.complex64, torch.int64, torch.uint8, torch.bool]
PLAIN = [0.0, -0.0, 1.0, -2.5, 6e4, 3e38, -3e38, 1e-30]
BAD = [math.nan, math.inf, -math.inf]


def laid_out(values: Tensor, layout: str) -> Tensor:
    """The same values in another shape or with other strides."""
    if layout == "matrix":
        return values.reshape(1, -1)
    if layout == "strided":
        return torch.stack([values, torch.zeros_like(values)], dim=-1)[..., 0]
    if layout == "expanded":
        return values.expand(3, *values.shape)
    if layout == "transposed":
        return torch.stack([values, values]).T
    if layout == "offset":
        return torch.cat([torch.zeros_like(values[:1]), values])[1:]
    return values


LAYOUTS = ["flat", "matrix", "strided", "expanded", "transposed", "offset"]


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """A small tensor of any dtype and layout, often with something non-finite in it."""
    dtype = draw(st.sampled_from([*FLOATS, *SMALL_FLOATS, *OTHERS]))
    numbers = st.sampled_from([*PLAIN, *BAD]) if draw(st.booleans()) else st.sampled_from(PLAIN)
    values = draw(st.lists(numbers, min_size=0, max_size=6))
    if dtype.is_complex:
        pairs = [complex(v, values[-1 - i]) for i, v in enumerate(values)]
        made = torch.tensor(pairs, dtype=dtype)
    elif dtype.is_floating_point:
        made = torch.tensor(values, dtype=torch.float64).to(torch.float32).to(dtype)
    else:
        made = torch.tensor([int(math.isfinite(v) and v > 0) for v in values], dtype=dtype)
    if values and draw(st.booleans()):
        made = made[0]
    return laid_out(made, draw(st.sampled_from(LAYOUTS))) if made.dim() and made.numel() else made


def elements(tensor: Tensor) -> Iterator[complex]:
    """Every element as a Python number, one at a time."""
    flat = tensor.float() if tensor.dtype in SMALL_FLOATS else tensor
    for value in flat.reshape(-1).tolist() if flat.dim() else [flat.item()]:
        yield complex(value)


def slow_is_finite(tensor: Tensor) -> bool:
    """The twin: no element is NaN or infinite."""
    return all(cmath.isfinite(v) for v in elements(tensor))


def slow_describe(tensor: Tensor, name: str) -> TensorStats:
    """The twin of `describe`: a Python loop; complex numbers count as their two parts."""
    parts = [p for v in elements(tensor) for p in ((v.real, v.imag) if tensor.is_complex() else (v.real,))]
    finite = [p for p in parts if math.isfinite(p)]
    return TensorStats(
        name=name,
        shape=tuple(tensor.shape),
        dtype=str(tensor.dtype).split(".")[1],
        device="cpu",
        num_nan=sum(math.isnan(p) for p in parts),
        num_posinf=sum(p == math.inf for p in parts),
        num_neginf=sum(p == -math.inf for p in parts),
        num_zero=sum(p == 0 for p in parts) if parts else None,
        min=min(finite, default=None),
        max=max(finite, default=None),
    )


@given(st.lists(tensors(), max_size=4))
@settings(max_examples=300, deadline=None)
def test_suspicion_never_misses(several: list[Tensor]) -> None:
    """The flag is non-finite whenever any element of any tensor is, whatever the mixture of dtypes."""
    flag = suspicion(several)
    if not all(map(slow_is_finite, several)):
        assert flag is not None
        assert flag.dim() == 0
        assert not math.isfinite(float(flag))


def test_suspicion_of_nothing_is_none() -> None:
    """Empty, whole-numbered and absent tensors give nothing to look at."""
    assert suspicion([]) is None
    assert suspicion([torch.zeros(0), torch.ones(3, dtype=torch.int64), torch.zeros(2, device="meta")]) is None


def test_suspicion_of_healthy_tensors_is_finite() -> None:
    """The flag can be finite at all: otherwise every step would be judged exactly."""
    flag = suspicion([torch.ones(3, dtype=d) for d in FLOATS])
    assert flag is not None
    assert float(flag) == 12.0


@pytest.mark.parametrize("first", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("bad", BAD)
def test_suspicion_survives_a_narrow_first_dtype(first: torch.dtype, bad: float) -> None:
    """The sums are gathered in the dtype of the first one; what is bad stays bad there."""
    assert not math.isfinite(float(suspicion([torch.ones(2, dtype=first), torch.tensor([bad])])))  # type: ignore[arg-type]


def test_suspicion_of_half_precision_sums_does_not_overflow_early() -> None:
    """A thousand values of 6e4 are finite in float16 and stay so in the flag."""
    flag = suspicion([torch.full((1000,), 6e4, dtype=torch.float16)])
    assert flag is not None
    assert math.isfinite(float(flag))


# torch warns once a process about sparse tensors as such; which test meets it depends on their order.
said_once = pytest.mark.filterwarnings("ignore:Sparse")


@said_once
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("layout", ["coo", "coo-uncoalesced", "csr"])
def test_sparse_values_are_looked_at(layout: str, bad: float) -> None:
    """Sparse gradients are judged by their stored values."""
    made = torch.tensor([[0.0, 1.0], [bad, 0.0]])
    if layout == "csr":
        sparse = made.to_sparse_csr()
    elif layout == "coo":
        sparse = made.to_sparse_coo()
    else:
        indices = torch.tensor([[0, 1, 0], [1, 0, 1]])
        sparse = torch.sparse_coo_tensor(indices, torch.tensor([0.5, bad, 0.5]), (2, 2))
    flag = suspicion([sparse])
    assert flag is not None
    assert not math.isfinite(float(flag))
    assert not is_finite(sparse)
    found = describe(sparse, "s")
    assert (found.shape, found.num_nonfinite, found.max) == ((2, 2), 1, 1.0)


@said_once
def test_sparse_without_stored_values_is_healthy() -> None:
    """An embedding that no row of the batch used has an empty gradient."""
    empty = torch.sparse_coo_tensor(torch.zeros((1, 0), dtype=torch.int64), torch.zeros(0, 3), (4, 3))
    assert is_finite(empty)
    flag = suspicion([empty])
    assert flag is None or math.isfinite(float(flag))
    assert describe(empty, "e").num_nonfinite == 0


@given(tensors())
@settings(max_examples=300, deadline=None)
def test_is_finite_agrees_with_a_loop(tensor: Tensor) -> None:
    """Exact, for every dtype and layout."""
    assert is_finite(tensor) == slow_is_finite(tensor)


@given(tensors())
@settings(max_examples=300, deadline=None)
def test_describe_agrees_with_a_loop(tensor: Tensor) -> None:
    """Counts and range are those that a Python loop finds."""
    assert describe(tensor, "t") == slow_describe(tensor, "t")


@given(tensors())
@settings(max_examples=300, deadline=None)
def test_quick_is_the_range_when_all_is_finite(tensor: Tensor) -> None:
    """One read gives the same range as the exact look, and None when something is bad."""
    if not can_be_nonfinite(tensor):
        return
    found, exact = quick(tensor, "t"), describe(tensor, "t")
    if not slow_is_finite(tensor):
        assert found is None
    else:
        assert found is not None
        assert (found.min, found.max) == (exact.min, exact.max)
        assert (found.name, found.shape, found.dtype, found.num_nonfinite) == ("t", exact.shape, exact.dtype, 0)
        assert found.num_zero is None


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("dtype", [*FLOATS, torch.complex64])
def test_quick_sees_each_kind_at_each_place(dtype: torch.dtype, position: int, bad: float) -> None:
    """A minimum or maximum that skipped NaN would miss it in the middle."""
    values = torch.ones(3, dtype=dtype)
    values[position] = bad
    assert quick(values, "t") is None


def test_meta_tensors_have_nothing_to_look_at() -> None:
    """A tensor without memory is described by its shape."""
    shell = describe(torch.zeros(2, 3, device="meta"), "m")
    assert (shell.shape, shell.min, shell.num_zero) == ((2, 3), None, None)


def test_dense_keeps_no_graph() -> None:
    """Measuring must not lengthen the graph of the step."""
    weight = torch.ones(3, requires_grad=True)
    assert not dense(weight * 2).requires_grad


@given(tensors())
@settings(max_examples=200, deadline=None)
def test_digest_is_the_same_for_equal_bits(tensor: Tensor) -> None:
    """A copy has the fingerprint of the original, whatever its strides."""
    assert digest([tensor]) == digest([tensor.clone()])
    assert digest([tensor]) == digest([tensor.contiguous()])


def with_payload(bits: int) -> Tensor:
    """A float32 NaN of the given bits between two ones."""
    (value,) = struct.unpack("<i", struct.pack("<I", bits))
    return torch.tensor([0x3F800000, value, 0x3F800000], dtype=torch.int32).view(torch.float32)


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000, 0x7F800001, 0x7FFFFFFF, 0xFF812345])
def test_digest_takes_every_nan_as_the_same(bits: int) -> None:
    """Sign and payload of a NaN depend on the order of operations and say nothing about the failure."""
    assert with_payload(bits).isnan().tolist() == [False, True, False]
    assert digest([with_payload(bits)]) == digest([torch.tensor([1.0, math.nan, 1.0])])


@given(tensors(), st.data())
@settings(max_examples=200, deadline=None)
def test_digest_changes_with_one_element(tensor: Tensor, data: st.DataObject) -> None:
    """A fingerprint that missed a change would call a different failure the same."""
    if tensor.numel() == 0:
        return
    changed = tensor.clone(memory_format=torch.contiguous_format).reshape(-1)
    place = data.draw(st.integers(0, changed.numel() - 1))
    was = changed[place].float() if not tensor.is_complex() else changed[place]
    new = 1 if bool(was == 0) else 0
    changed[place] = torch.tensor(new).to(tensor.dtype)
    assert digest([changed.reshape(tensor.shape)]) != digest([tensor])


def test_digest_tells_zero_from_minus_zero_and_inf_from_nan() -> None:
    """Bits are compared, not values."""
    values = [[0.0], [-0.0], [math.inf], [-math.inf], [math.nan]]
    assert len({digest([torch.tensor(v)]) for v in values}) == 5


def test_digest_knows_shape_dtype_and_order() -> None:
    """The same bytes in another shape, dtype or order are another state."""
    zeros = torch.zeros(4)
    kinds = [[zeros], [zeros.reshape(2, 2)], [zeros[:2], zeros[2:]], [torch.zeros(4, dtype=torch.int32)], []]
    assert len({digest(kind) for kind in kinds}) == 5
    one, two = torch.ones(2), torch.zeros(2)
    assert digest([one, two]) != digest([two, one])


@said_once
def test_digest_of_sparse_tensors_knows_where_the_values_are() -> None:
    """The same values in other rows are another gradient."""
    first = torch.sparse_coo_tensor(torch.tensor([[0, 1]]), torch.ones(2, 3), (4, 3))
    second = torch.sparse_coo_tensor(torch.tensor([[0, 2]]), torch.ones(2, 3), (4, 3))
    assert digest([first]) == digest([first.clone()])
    assert digest([first]) != digest([second])
