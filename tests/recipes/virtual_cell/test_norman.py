"""On a real screen, where it is there: held-out combinations and contexts, beside what they have to beat."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evenkeel_recipes.kit.refusal import DONE
from evenkeel_recipes.virtual_cell.command import commands

NORMAN = Path(__file__).parents[4] / "shared/data/single_cell/norman_mcfaline_devel.h5ad"
COMBINATIONS = (  # all there are, so that only singles are known
    "KLF1+MAP2K6,KLF1+TGFBR2,MAP2K3+MAP2K6,MAP2K3+SLC38A2,MAPK1+TGFBR2,CNN1+MAPK1,SET+KLF1,SGK1+TBX3,BPGM+SAMD1,"
    "CBL+CNN1,CEBPE+RUNX1T1,FOXL2+HOXB9,PTPN12+PTPN9,SAMD1+PTPN12,ZBTB10+PTPN12"
)


@pytest.mark.long
@pytest.mark.timeout(600)  # a whole training
@pytest.mark.skipif(not NORMAN.is_file(), reason=f"{NORMAN.name} is not here; it is for tests only")
def test_held_out_conditions_are_predicted_better_than_by_anything_simpler(tmp_path: Path) -> None:
    """Means and distributions, for combinations of which both or one part is known, and for cell lines."""
    options = ["--holdout", f"{COMBINATIONS},MAP4K3@A172,SGK1@T98G", "--epochs-vae", "25", "--epochs-flow", "10"]
    options += ["--epochs-joint", "0", "--eval-cells", "200"]
    assert commands.call(["run", "--data", str(NORMAN), "--out", str(tmp_path), *options]) == DONE
    told = json.loads((tmp_path / "metrics.json").read_text())
    simple = told["baselines"]["additive_or_mean_shift"]
    for kind in ("combo_seen2", "combo_seen1", "leave_context"):
        assert told["model"][f"rmse@{kind}"] <= simple[f"rmse@{kind}"]
        assert told["model"][f"energy_distance@{kind}"] < simple[f"energy_distance@{kind}"]
        assert told["model"][f"mmd@{kind}"] < simple[f"mmd@{kind}"]
    assert told["model"]["pearson_delta@combo_seen2"] > simple["pearson_delta@combo_seen2"] + 0.05
    assert told["model"]["pearson_delta@combo_seen1"] > simple["pearson_delta@combo_seen1"]
