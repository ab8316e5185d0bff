from __future__ import annotations

import cmath
import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tensors.drawn import BAD, FLOATS, SMALL_FLOATS, tensors
from torch import Tensor

from evenkeel.core.stats import TensorStats
from evenkeel.tensors.measure import can_be_nonfinite, dense, describe, is_finite, quick, suspicion


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
