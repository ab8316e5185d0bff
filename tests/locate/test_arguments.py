from __future__ import annotations

import pytest
import torch
from torch._ops import OpOverload

from evenkeel.locate.arguments import base_name, dimensions, numbers, tensor_arguments, unfolded

aten = torch.ops.aten
A, B = torch.ones(2, 3), torch.zeros(3)


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (aten.log.default, "log"),
        (aten.log_.default, "log"),
        (aten._softmax.default, "softmax"),  # noqa: SLF001  aten's own name
        (aten._log_softmax.default, "log_softmax"),  # noqa: SLF001  aten's own name
        (aten._foreach_mul_.Tensor, "mul"),
        (aten._softmax_backward_data.default, "softmax"),  # noqa: SLF001  aten's own name
        (aten.threshold_backward.default, "threshold"),
        (aten.linalg_vector_norm.default, "norm"),
        (aten.native_layer_norm.default, "layer_norm"),
        (aten.nll_loss_forward.default, "nll_loss"),
        (aten._linalg_svd.default, "svd"),  # noqa: SLF001  aten's own name
        (aten._linalg_eigh.default, "eigh"),  # noqa: SLF001  aten's own name
        (aten._cdist_forward.default, "cdist"),  # noqa: SLF001  aten's own name
    ],
)
def test_plain_name_of_an_operation(func: OpOverload, name: str) -> None:
    """Marks of privacy, place and direction are removed."""
    assert base_name(func) == name


def test_arguments_have_the_names_of_the_schema() -> None:
    """Positional and keyword arguments alike."""
    found = list(tensor_arguments(aten.addmm.default, (B, A, A.T @ A), {}))
    assert [(a.name, a.written) for a in found] == [("self", False), ("mat1", False), ("mat2", False)]
    assert found[1].tensor is A
    keyword = list(tensor_arguments(aten.add.out, (A, B), {"out": A}))
    assert [(a.name, a.written) for a in keyword] == [("self", False), ("other", False), ("out", True)]


def test_lists_are_unfolded() -> None:
    """Each tensor of a list has its position."""
    found = list(tensor_arguments(aten._foreach_mul_.List, ([A, B], [A, B]), {}))
    assert [a.name for a in found] == ["self[0]", "self[1]", "other[0]", "other[1]"]
    assert [a.written for a in found] == [True, True, False, False]


def test_missing_optional_tensors_are_left_out() -> None:
    """`None` is no argument."""
    assert [a.name for a in tensor_arguments(aten.clamp.Tensor, (A, None, B), {})] == ["self", "max"]


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_writes_its_statistics_in_training_only(*, training: bool) -> None:
    """The schema does not say that the running statistics are written."""
    arguments = (torch.ones(2, 3), None, None, torch.zeros(3), torch.ones(3), training, 0.1, 1e-5)
    written = {a.name for a in tensor_arguments(aten.native_batch_norm.default, arguments, {}) if a.written}
    assert written == ({"running_mean", "running_var"} if training else set())


def test_numbers_are_values_only() -> None:
    """Exponents and bounds, not dimensions, flags or sizes."""
    assert numbers(aten.pow.Tensor_Scalar, (A, 0.5), {}) == (0.5,)
    assert numbers(aten.clamp.default, (A, 0, 1.5), {}) == (0.0, 1.5)
    assert numbers(aten.masked_fill.Scalar, (A, A > 0, float("-inf")), {}) == (float("-inf"),)
    assert numbers(aten._softmax.default, (A, -1, False), {}) == ()  # noqa: SLF001  aten's own name
    assert numbers(aten.sum.dim_IntList, (A, [1], True), {}) == ()
    assert numbers(aten.add.Tensor, (A, 1e-8), {"alpha": 2}) == (1e-8,)


def test_dimensions() -> None:
    """One, several, or none given."""
    assert dimensions(aten._softmax.default, (A, -1, False), {}) == (-1,)  # noqa: SLF001  aten's own name
    assert dimensions(aten.sum.dim_IntList, (A, [0, 1]), {}) == (0, 1)
    assert dimensions(aten.sum.dim_IntList, (A, None), {}) is None
    assert dimensions(aten.sum.default, (A,), {}) is None


def test_dimension_that_was_left_out_is_the_default() -> None:
    """Torch hands on no argument that equals its default."""
    assert dimensions(aten.sort.default, (A,), {}) == (-1,)
    assert dimensions(aten.amax.default, (A,), {}) == ()
    assert dimensions(aten.var.correction, (A,), {"dim": [1]}) == (1,)


def test_lists_of_lists_are_unfolded() -> None:
    """A collective gathers into a list for each tensor it sends."""
    assert [name for name, _ in unfolded([[A], [B, None, A]], "out")] == ["out[0][0]", "out[1][0]", "out[1][2]"]


def test_result_that_is_none_keeps_its_place() -> None:
    """The derivative of a convolution without that of its input."""
    assert [name for name, _ in unfolded((None, A, B), "out")] == ["out[1]", "out[2]"]
