from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evenkeel import ops
from evenkeel.core.errors import UsageError

X = torch.tensor([[1.0, 5.0, -2.0], [2.0, 5.0, 2.0], [4.0, 5.0, 0.0]])
FITS = [ops.fit_min_max, ops.fit_standard]
FORGIVING = [ops.fit_min_max_constants_to_zero, ops.fit_standard_constants_to_zero]


@pytest.mark.parametrize("fit", FITS)
def test_a_constant_column_is_named(fit: object) -> None:
    """By its name, else by its number; of many, the first eight."""
    with pytest.raises(UsageError, match=rf"1 of 3 columns are constant: gene_b; .*{fit.__name__}_constants_to_zero"):
        fit(X, ["gene_a", "gene_b", "gene_c"])
    with pytest.raises(UsageError, match="2 of 2 columns are constant: 0, 1;"):
        fit(torch.ones(1, 2))
    with pytest.raises(UsageError, match="and 12 more"):
        fit(torch.ones(3, 20))


@pytest.mark.parametrize("fit", FORGIVING)
def test_a_constant_column_maps_to_zero_and_back(fit: object) -> None:
    """Also one whose mean is not the constant after rounding."""
    for varied in (X, X.double(), X.double().repeat(4, 1)):
        x = torch.cat([varied, torch.full_like(varied[:, :1], 0.1)], 1)
        scaling = fit(x)
        assert scaling.apply(x)[:, [1, 3]].unique().tolist() == [0.0]
        torch.testing.assert_close(scaling.undo(scaling.apply(x)), x)


def test_the_ends_and_the_moments() -> None:
    """0 and 1, or mean 0 and deviation 1, also beside a large offset."""
    y = ops.fit_min_max(X[:, [0, 2]]).apply(X[:, [0, 2]])
    assert y.amin(0).tolist() == [0.0, 0.0]
    assert y.amax(0).tolist() == [1.0, 1.0]
    y = ops.fit_standard(X[:, [0, 2]] + 1e5).apply(X[:, [0, 2]] + 1e5)
    torch.testing.assert_close(y.mean(0), torch.zeros(2), atol=1e-2, rtol=0)  # 1e5 holds 7 digits of a float32
    torch.testing.assert_close(y.std(0, correction=0), torch.ones(2), atol=1e-2, rtol=0)


@pytest.mark.parametrize("fit", [*FITS, *FORGIVING])
def test_what_cannot_be_scaled(fit: object) -> None:
    """Each reason has its words."""
    with pytest.raises(UsageError, match="1 of 2 columns are not finite throughout: 1;"):
        fit(torch.tensor([[1.0, torch.nan], [2.0, 1.0]]))
    with pytest.raises(UsageError, match="no rows"):
        fit(torch.ones(0, 2))
    with pytest.raises(UsageError, match="2 names for 3 columns"):
        fit(X, ["a", "b"])
    for other in (torch.ones(3), X.long(), X.half()):
        with pytest.raises(UsageError, match="takes \\(rows, columns\\) of float32 or float64"):
            fit(other)


def test_ranges_that_do_not_fit_the_dtype() -> None:
    """Refused, not scaled by inf or 0."""
    with pytest.raises(UsageError, match="wider than the dtype's range"):
        ops.fit_min_max(torch.tensor([[-3e38], [3e38]]))
    with pytest.raises(UsageError, match="too narrow"):
        ops.fit_standard(torch.tensor([[0.0], [1e-45], [0.0], [0.0], [0.0], [0.0]]))


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=20))
def test_there_and_back(values: list[float]) -> None:
    """To the rounding of the largest value."""
    x = torch.tensor(values).unsqueeze(1)
    for fit in FORGIVING:
        try:
            scaling = fit(x)
        except UsageError as refused:
            assert "too narrow" in str(refused)  # noqa: PT017  # one of the two answers is right
            continue
        assert (scaling.undo(scaling.apply(x)) - x).abs().max() <= 4e-7 * max(abs(v) for v in values) + 1e-30
