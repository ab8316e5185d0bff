"""Shares of mRNA become fractions of cells by what a cell holds, wherever that was learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evenkeel_recipes.deconvolution.judging.cell_size import content_of, recounted
from evenkeel_recipes.deconvolution.judging.estimate import Estimated
from evenkeel_recipes.deconvolution.likelihoods.baselines import cell_fractions
from evenkeel_recipes.kit.refusal import Refused

TYPES = ("B cells", "monocytes", "T cells")
BEFORE = np.array([1.0, 4.0, 0.5])


def estimated() -> Estimated:
    rng = np.random.default_rng(0)
    fractions = rng.dirichlet(np.ones(3), 20)
    shares = fractions * BEFORE
    few = np.zeros(20)
    return Estimated(
        fractions, shares / shares.sum(1, keepdims=True), fractions / 2, np.minimum(2 * fractions, 1), few, few > 0
    )


def test_shares_stay_and_fractions_follow_the_content() -> None:
    given, content = estimated(), np.array([2.0, 1.0, 3.0])
    found = recounted(given, BEFORE, content)
    assert found.fractions == pytest.approx(cell_fractions(given.shares, content), rel=1e-12)
    assert np.array_equal(found.shares, given.shares)
    assert (found.lower <= found.fractions).all()
    assert (found.fractions <= found.upper).all()
    assert (found.upper <= 1).all()


def test_the_references_own_content_changes_no_bit() -> None:
    given = estimated()
    found = recounted(given, BEFORE, content_of("reference", BEFORE, TYPES))
    for name in ("fractions", "lower", "upper"):
        assert np.array_equal(getattr(found, name), getattr(given, name)), name


def test_content_of_a_file_is_found_by_type(tmp_path: Path) -> None:
    path = tmp_path / "sizes.csv"
    path.write_text("type,counts\nT cells,300\nplatelets,5\nB cells,100.5\nmonocytes,2e3\n")
    assert content_of(str(path), BEFORE, TYPES).tolist() == [100.5, 2000, 300]
    assert content_of("ones", BEFORE, TYPES).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("type,counts\nB cells,1\nT cells,2\n", "no counts of monocytes; it has B cells, T cells"),
        (
            "type,counts\nB cells,1\nT cells,2\nmonocytes,0\n",
            "counts of monocytes are .*0.*; a number above 0 is needed",
        ),
        ("type,counts\nB cells,1\nT cells,many\nmonocytes,3\n", "counts of T cells are 'many'; a number above 0"),
        ("type,counts\nB cells,\nT cells,2\nmonocytes,3\n", "counts of B cells are .*nan.*; a number above 0"),
        ("type,counts\nB cells,1\nB cells,1\nT cells,2\nmonocytes,3\n", "more than once, such as B cells"),
        ("type,counts,more\nB cells,1,1\nT cells,2,1\nmonocytes,3,1\n", "3 columns; two are needed, type and counts"),
    ],
)
def test_a_file_that_does_not_say_it_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "sizes.csv"
    path.write_text(text)
    with pytest.raises(Refused, match=sentence):
        content_of(str(path), BEFORE, TYPES)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"there is no file .*none.csv; allowed are reference, ones or a file"):
        content_of(str(tmp_path / "none.csv"), BEFORE, TYPES)
