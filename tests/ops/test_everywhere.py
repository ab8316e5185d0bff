"""What every operation promises: all float dtypes, autocast, compile, vmap, two derivatives, no wait for the device."""

from __future__ import annotations

import pytest
import torch
from tests.ops.loss_operations import LOSS_OPERATIONS
from tests.ops.operations import OPERATIONS, Operation
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode

from evenkeel import ops

every_operation = pytest.mark.parametrize("op", [*OPERATIONS, *LOSS_OPERATIONS], ids=lambda op: op.name)
NARROW = [torch.float16, torch.bfloat16]


def arguments(op: Operation, dtype: torch.dtype = torch.float64, *, grad: bool = False) -> tuple[Tensor, ...]:
    """The same arguments at every call, in a dtype."""
    made = op.arguments(torch.Generator().manual_seed(0))
    return tuple(t.to(dtype).requires_grad_(grad) for t in made)


def gradients(result: Tensor, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Of a weighted sum, so that elements cannot be exchanged unseen."""
    weights = torch.linspace(0.5, 1.5, result.numel(), dtype=torch.float64).reshape(result.shape).to(result.dtype)
    return torch.autograd.grad((result * weights.to(result.device)).sum(), tensors)


def test_all_public_operations_are_here() -> None:
    """The list of this file is complete, up to the names that other test files look after."""
    mine = {"angles", "division", "entropy", "linalg", "logs", "norms", "roots", "rotations", "softmax"}
    public = {n for n in ops.__all__ if getattr(ops, n).__module__.rpartition(".")[2] in mine} - {"Counted"}
    assert len(public) == 39
    assert public == {op.name.split()[0] for op in OPERATIONS}


@every_operation
def test_two_derivatives(op: Operation) -> None:
    """First and second ones agree with differences of values."""
    tensors = arguments(op, grad=True)
    assert torch.autograd.gradcheck(op.call, tensors)
    assert torch.autograd.gradgradcheck(op.call, tensors)


@every_operation
@pytest.mark.parametrize("dtype", [*NARROW, torch.float32, torch.float64], ids=str)
def test_answers_in_the_dtype_of_its_arguments(op: Operation, dtype: torch.dtype) -> None:
    """And its gradients come back in theirs."""
    tensors = arguments(op, dtype, grad=True)
    result = op.call(*tensors)
    assert result.dtype == dtype
    assert all(g.dtype == dtype for g in gradients(result, tensors))


@every_operation
@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_narrow_dtypes_round_once(op: Operation, dtype: torch.dtype) -> None:
    """What comes out is the result of float32, rounded."""
    if op.name == "sphere_distance" or op.name.startswith(("eigh", "spectral_map", "log_determinant")):
        pytest.skip("the example itself computes in the narrow dtype")
    tensors = arguments(op, dtype)
    expected = op.call(*(t.float() for t in tensors)).to(dtype)
    assert torch.equal(op.call(*tensors), expected)


@every_operation
@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_autocast_changes_nothing(op: Operation, dtype: torch.dtype) -> None:
    """Neither the values, to the bit, nor the gradients."""
    if "eigh" in op.name or op.name == "spectral_map":
        pytest.skip("the example itself multiplies matrices; see test_linalg")
    tensors = arguments(op, torch.float32, grad=True)
    expected = op.call(*tensors)
    wanted = gradients(expected, tensors)
    with torch.autocast("cpu", dtype=dtype):
        result = op.call(*tensors)
    assert torch.equal(result, expected)
    for got, want in zip(gradients(result, tensors), wanted, strict=True):
        assert torch.equal(got, want)


@every_operation
@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # dynamo instantiates autograd.Function itself
def test_compiles_into_one_graph(op: Operation) -> None:
    """Forward and backward, without a break."""
    tensors = arguments(op, grad=True)
    expected = op.call(*tensors)
    torch.compiler.reset()
    result = torch.compile(op.call, fullgraph=True, backend="aot_eager")(*tensors)
    torch.testing.assert_close(result, expected)
    for got, want in zip(gradients(result, tensors), gradients(expected, tensors), strict=True):
        torch.testing.assert_close(got, want)


@every_operation
def test_vmap_equals_a_loop(op: Operation) -> None:
    """Values, and gradients inside vmap."""
    tensors = arguments(op)
    expected = torch.stack([op.call(*row) for row in zip(*tensors, strict=True)])
    torch.testing.assert_close(torch.func.vmap(op.call)(*tensors), expected)
    slopes = torch.func.vmap(torch.func.grad(lambda *row: op.call(*row).sum()))(*tensors)
    wanted = torch.stack([torch.func.grad(lambda *r: op.call(*r).sum())(*row) for row in zip(*tensors, strict=True)])
    torch.testing.assert_close(slopes, wanted)


@every_operation
def test_reads_no_value_on_the_host(op: Operation) -> None:
    """Fake tensors have no values: whoever asks for one, or branches on one, fails."""
    with FakeTensorMode() as fake:
        tensors = tuple(fake.from_tensor(t).requires_grad_() for t in arguments(op))
        result = op.call(*tensors)
        assert all(isinstance(g, FakeTensor) for g in gradients(result, tensors))


def test_a_fake_tensor_notices_a_read() -> None:
    """The test above can fail."""
    with FakeTensorMode() as fake, pytest.raises(DataDependentOutputException):
        fake.from_tensor(torch.ones(2)).sum().item()
