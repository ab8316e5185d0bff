"""What a run leaves for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evenkeel_recipes.deconvolution.judging.estimate import Estimated
from evenkeel_recipes.deconvolution.judging.report import write_proportions


def test_a_type_that_may_be_absent_is_below_detection_with_its_interval(tmp_path: Path) -> None:
    estimated = Estimated(
        fractions=np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]]),
        shares=np.array([[0.8, 0.2, 0.0], [0.1, 0.4, 0.5]]),
        lower=np.array([[0.85, 0.0, 0.0], [0.1, 0.2, 0.4]]),
        upper=np.array([[0.95, 0.2, 0.06], [0.3, 0.4, 0.6]]),
        deviance=np.array([0.01, 0.4]),
        strange=np.array([False, True]),
    )
    write_proportions(tmp_path / "p.csv", estimated, np.array(["a", "b"]), ("T", "B", "NK"))
    table = pd.read_csv(tmp_path / "p.csv").set_index(["sample", "cell_type"])
    assert len(table) == 6
    assert table["below_detection"].to_dict() == {
        ("a", "T"): False, ("a", "B"): True, ("a", "NK"): True,
        ("b", "T"): False, ("b", "B"): False, ("b", "NK"): False,
    }  # fmt: skip
    absent = table.loc[("a", "NK")]
    assert (absent["fraction"], absent["lower"], absent["upper"]) == (0.0, 0.0, 0.06)
    assert table.loc[("b", "B"), ["fraction", "mrna_share"]].tolist() == [0.3, 0.4]
    assert table.groupby("sample")["residual"].first().tolist() == [0.01, 0.4]
    assert table.groupby("sample")["strange"].all().tolist() == [False, True]
    assert table.groupby("sample")["mrna_share"].sum().to_numpy() == pytest.approx(1)
