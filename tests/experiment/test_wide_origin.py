"""The origin alone in float64: what is wide, what is not, and what comes back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from evenkeel.core.operation import Operation
from evenkeel.core.place import Place
from evenkeel.experiment.wide_origin import OriginInFloat64


def average(x: Tensor) -> Tensor:
    """The sum inside leaves the range of float32; the mean does not."""
    return x.mean() - x.max()


def mean_and_deviation(x: Tensor) -> Tensor:
    """Two results of one call."""
    deviation, _ = torch.std_mean(x)
    return deviation


def one_less(x: Tensor) -> Tensor:
    """The number is on the left, and what is taken from it is lost in float32."""
    return 1.0 - x


def scaled(x: Tensor) -> Tensor:
    """Overflows in any format that ends at 3e38."""
    return torch.exp(x)


def normalised(x: Tensor) -> Tensor:
    """One call that is many operations inside of torch."""
    return F.normalize(x, dim=0)


def change_at(function, offset: int, name: str, api: str = "") -> OriginInFloat64:  # noqa: ANN001
    """The change for a line of a function of this file."""
    code = function.__code__
    place = Place(file=code.co_filename, line=code.co_firstlineno + offset, scope=code.co_name, source="")
    operation = Operation(index=0, op=f"aten.{name}", function=name, api=api, phase="forward", place=place)
    return OriginInFloat64(operation, place, lambda: place)


def test_the_one_operation_is_wide_forward_and_backward() -> None:
    """The mean at that line is; its result is of the format it had, and so is the gradient."""
    x = torch.full((4,), 3e38, requires_grad=True)
    assert average(x).isinf()
    change = change_at(average, 2, "mean")
    with change.during():
        y = average(x)
    assert (y.dtype, y.item()) == (torch.float32, 0.0)
    y.backward()
    assert x.grad is not None
    assert (x.grad.dtype, x.grad.tolist()) == (torch.float32, [0.0] * 4)
    assert change.took_effect
    assert "mean at test_wide_origin.py" in change.changed


def test_results_return_to_their_format() -> None:
    """All of several; a result that has no finite value in it stays infinite."""
    x = torch.randn(50, requires_grad=True)
    change = change_at(mean_and_deviation, 2, "std_mean")
    with change.during():
        deviation = mean_and_deviation(x)
    assert change.took_effect
    assert deviation.dtype == torch.float32
    deviation.backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.float32
    overflowing = change_at(scaled, 2, "exp")
    with overflowing.during():
        assert scaled(torch.tensor(100.0)).isinf()
    assert overflowing.took_effect


def test_a_number_on_the_left_stays_there() -> None:
    """1 - x, not x - 1."""
    with change_at(one_less, 2, "rsub").during():
        assert one_less(torch.tensor(3.0)).item() == -2.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_range_of_half_is_widened(dtype: torch.dtype) -> None:
    """A sum of squares that leaves the range inside of the call, and comes back into it."""
    x = torch.full((4096,), 200.0, dtype=dtype)
    change = change_at(normalised, 2, "linalg_vector_norm", api="normalize")
    with change.during():
        y = normalised(x)
    assert change.took_effect
    assert y.dtype == dtype
    assert y[0].item() == pytest.approx(1 / 64, rel=1e-2)


def test_other_lines_and_other_functions_are_left_alone() -> None:
    """And a step that never comes to the line teaches nothing."""
    change = change_at(scaled, 2, "log")
    with change.during():
        scaled(torch.tensor(1.0))
    elsewhere = change_at(average, 2, "exp")
    with elsewhere.during():
        scaled(torch.tensor(1.0))
    assert not change.took_effect
    assert not elsewhere.took_effect


def test_float64_has_nothing_wider() -> None:
    """The step is not repeated for nothing that is different."""
    change = change_at(scaled, 2, "exp")
    with change.during():
        scaled(torch.tensor(1.0, dtype=torch.float64))
    assert not change.took_effect
