from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at, same, second

from evenkeel import ops

INF, NAN = math.inf, math.nan
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
WIDE_RANGE = [torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_zero_vector(dtype: torch.dtype) -> None:
    """Norm 0, direction 0, slopes 0; torch's normalize has a slope of 1e12."""
    zero = [0.0, 0.0]
    assert at(ops.norm, zero, dtype=dtype) == (0.0, zero)
    assert at(ops.normalise, zero, dtype=dtype) == (zero, zero)
    assert at(ops.cosine_similarity, zero, [3.0, 4.0], dtype=dtype) == (0.0, zero, zero)
    assert at(ops.cosine_similarity, zero, zero, dtype=dtype) == (0.0, zero, zero)
    assert at(ops.distance, [1.0, 2.0], [1.0, 2.0], dtype=dtype) == (0.0, zero, zero)
    assert at(lambda x: F.normalize(x, dim=-1), zero)[1] == pytest.approx([1e12, 1e12])


@pytest.mark.parametrize("dtype", WIDE_RANGE, ids=str)
@pytest.mark.parametrize("end", ["largest", "normal", "subnormal"])
def test_every_scale(dtype: torch.dtype, end: str) -> None:
    """(3, 4) times a power of two has norm 5 times it and direction (.6, .8), where the squares over- or underflow."""
    info = torch.finfo(dtype)
    scale = {
        "largest": 2.0 ** (math.frexp(info.max)[1] - 4),
        "normal": info.tiny,
        "subnormal": info.smallest_normal / 8,
    }
    x = [3 * scale[end], 4 * scale[end]]
    value, slope = at(ops.norm, x, dtype=dtype)
    assert value == 5 * scale[end]
    assert slope == pytest.approx([0.6, 0.8], rel=2 * info.eps)
    direction, _ = at(ops.normalise, x, dtype=dtype)
    assert direction == pytest.approx([0.6, 0.8], rel=2 * info.eps)
    assert at(lambda t: torch.linalg.vector_norm(t, dim=-1), x, dtype=dtype)[0] != value
    assert at(ops.cosine_similarity, x, x, dtype=dtype)[0] == pytest.approx(1.0, abs=2 * info.eps)


def test_the_smallest_and_the_largest_number() -> None:
    """One element alone is its own norm."""
    for dtype in DTYPES:
        info = torch.finfo(dtype)
        smallest = info.smallest_normal * info.eps
        for x in (smallest, info.max):
            assert at(ops.norm, [x, 0.0], dtype=dtype) == (x, [1.0, 0.0])
            assert at(ops.normalise, [0.0, -x], dtype=dtype)[0] == [0.0, -1.0]


def test_rows_of_different_scales_do_not_meet() -> None:
    """Each row has a scale of its own."""
    assert at(ops.norm, [[3e30, 4e30], [3e-40, 4e-40], [3.0, 4.0]])[0] == pytest.approx([5e30, 5e-40, 5.0], rel=1e-4)


def test_infinite_and_missing_numbers() -> None:
    """They are not hidden."""
    value, slope = at(ops.norm, [[INF, 1.0], [NAN, 1.0]])
    assert same(value, [INF, NAN])
    assert same(slope, [[NAN, 0.0], [NAN, NAN]])
    assert same(at(ops.normalise, [[INF, 1.0], [NAN, 1.0]])[0], [[NAN, 0.0], [NAN, NAN]])


def test_no_elements() -> None:
    """The norm of nothing is 0."""
    x = torch.empty(2, 0, requires_grad=True)
    assert ops.norm(x).tolist() == [0.0, 0.0]
    assert ops.normalise(x).shape == (2, 0)
    assert ops.norm(torch.empty(0, 3)).shape == (0,)


def test_several_dimensions() -> None:
    """A tuple of dimensions, with and without keepdim."""
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(ops.norm(x, (0, 2)), torch.linalg.vector_norm(x, dim=(0, 2)))
    torch.testing.assert_close(ops.norm(x, (0, 2), keepdim=True), torch.linalg.vector_norm(x, dim=(0, 2), keepdim=True))
    torch.testing.assert_close(ops.normalise(x, (0, 2)), x / torch.linalg.vector_norm(x, dim=(0, 2), keepdim=True))


def test_close_points_far_away() -> None:
    """Pairwise distances from products lose them; from differences they are exact."""
    x = 1000 + torch.arange(30.0, dtype=torch.float32).unsqueeze(-1) / 1024
    wanted = (x - x.T).abs()
    assert torch.equal(ops.pairwise_distances(x, x), wanted)
    assert not torch.allclose(torch.cdist(x, x), wanted, rtol=0.1)


def test_the_diagonal_of_pairwise_distances() -> None:
    """Equal points have slope 0, in second derivatives as well."""
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    energy = ops.pairwise_distances(x, x).sum()
    (force,) = torch.autograd.grad(energy, x, create_graph=True)
    (twice,) = torch.autograd.grad(force.square().sum(), x)
    assert force.isfinite().all()
    assert twice.isfinite().all()
    torch.testing.assert_close(force.sum(0), torch.zeros(3, dtype=torch.float64))


def test_second_derivatives_at_zero() -> None:
    """0, where torch's norm has nan."""
    assert second(ops.norm, [0.0, 0.0]) == [[0.0, 0.0]]
    assert second(ops.normalise, [0.0, 0.0]) == [[0.0, 0.0]]
    assert same(second(lambda x: torch.linalg.vector_norm(x, dim=-1), [0.0, 0.0]), [[NAN, NAN]])


@given(st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=5), st.integers(-100, 100))
def test_norms_scale(row: list[float], power: int) -> None:
    """A power of two comes out of the norm exactly, and leaves the direction as it is."""
    x = torch.tensor([v if abs(v) > 1e-150 else 0.0 for v in row], dtype=torch.float64)
    scaled = x * 2.0**power
    assert ops.norm(scaled).item() == pytest.approx(ops.norm(x).item() * 2.0**power, rel=1e-15)
    torch.testing.assert_close(ops.normalise(scaled), ops.normalise(x), rtol=1e-15, atol=0)


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=2), st.lists(st.floats(-9, 9), min_size=2, max_size=2))
def test_cosines_are_cosines(x: list[float], y: list[float]) -> None:
    """Within 4 ulp of [-1, 1], and the same from both sides."""
    a, b = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    value = ops.cosine_similarity(a, b).item()
    assert abs(value) <= 1 + 4 * 2.0**-52
    assert value == ops.cosine_similarity(b, a).item()
