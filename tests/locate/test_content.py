from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from evenkeel.locate import content
from evenkeel.locate.content import content_of, count_zeros
from evenkeel.tensors.measure import describe

NAN, INF = math.nan, math.inf
BAD: dict[str, Tensor] = {
    "mixed": torch.tensor([1.0, NAN, 0.0, -INF, INF, 3.0]),
    "only NaN": torch.tensor([NAN, NAN]),
    "only infinities": torch.tensor([INF, -INF]),
    "half": torch.tensor([[1.0, 2.0], [INF, -3.0]]).half(),
    "bfloat16": torch.tensor([[0.0, NAN], [INF, -3.0]]).bfloat16(),
    "eight bits": torch.tensor([1.0, NAN, 0.0]).to(torch.float8_e5m2),
    "complex": torch.tensor([1 + 1j, complex(NAN, 2), complex(0, INF)]),
    "sparse": torch.tensor([[0.0, NAN], [0.0, 1.0]]).to_sparse(),
    "number": torch.tensor(NAN),
    "expanded": torch.tensor([1.0, NAN, 0.0, 2.0]).expand(3, 4),
    "transposed": torch.tensor([[1.0, NAN], [0.0, 2.0], [-1.0, 5.0]]).T,
    "negative": torch.tensor([-3.0, -INF, -2.0]),
}
GOOD: dict[str, Tensor] = {
    "numbers": torch.tensor([-1.5, 0.0, 2.0]),
    "bools": torch.tensor([True, False]),
    "integers": torch.tensor([3, -4]),
    "complex": torch.tensor([1 + 2j]),
    "empty": torch.zeros(0, 3),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tensor_is_counted_exactly(name: str) -> None:
    """As the exact description counts; the masks are those of the elements."""
    tensor = BAD[name]
    found = content_of(tensor)
    assert found.is_bad
    assert found.stats("x", tuple(tensor.shape)) == describe(tensor, "x")
    dense = tensor.to_dense() if tensor.is_sparse else tensor
    dense = dense.float() if dense.element_size() == 1 else dense
    assert found.nan is not None
    assert found.inf is not None
    assert torch.equal(found.nan.dense(), dense.isnan())
    assert torch.equal(found.inf.dense(), dense.isinf())


@pytest.mark.parametrize("name", GOOD)
def test_good_tensor_has_a_range_and_zeros_when_asked(name: str) -> None:
    """One read gives the range; zeros are counted once."""
    tensor = GOOD[name]
    found = content_of(tensor)
    assert not found.is_bad
    count_zeros(found, tensor)
    assert found.stats("x", tuple(tensor.shape)) == describe(tensor, "x")
    count_zeros(found, torch.zeros(99))
    assert found.num_zero == describe(tensor, "x").num_zero or not tensor.numel()


@pytest.mark.parametrize("name", [*BAD, *GOOD])
def test_large_tensor_is_looked_at_in_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same result."""
    whole = content_of({**BAD, **GOOD}[name])
    monkeypatch.setattr(content, "_PIECE", 2)
    parts = content_of({**BAD, **GOOD}[name])
    assert parts.stats("x", ()) == whole.stats("x", ())


@pytest.mark.parametrize("name", [*BAD, *GOOD])
def test_tensor_is_left_as_it_was(name: str) -> None:
    """Its memory can still be given back and taken anew, as sharded modules do; nothing was written."""
    tensor = {**BAD, **GOOD}[name].clone()
    version = tensor._version  # noqa: SLF001  torch's only word on whether something was written
    count_zeros(content_of(tensor), tensor)
    assert tensor._version == version  # noqa: SLF001  the same
    if not tensor.is_sparse:
        assert tensor.untyped_storage().resizable()


def test_conjugate_and_negative_views_are_looked_at() -> None:
    """They share memory with what they are computed from when somebody reads them."""
    number = torch.tensor([complex(1, 2), complex(3, NAN)])
    assert content_of(number.conj()).num_nan == 1
    assert content_of(number.conj().imag).stats("x", (2,)).min == -2
