"""The import contracts of pyproject.toml hold, and each of them can break."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
NUM_CONTRACTS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one run of lint-imports said."""

    status: int
    output: str

    @property
    def text(self) -> str:
        """The output as one line, because the terminal's width breaks names in two."""
        return " ".join(self.output.split())

    @property
    def counts(self) -> tuple[int, int]:
        """Contracts kept and contracts broken, from the closing line."""
        found = re.search(r"Contracts: (\d+) kept, (\d+) broken", self.text)
        assert found is not None, f"lint-imports gave no verdict:\n{self.output}"
        return int(found[1]), int(found[2])


@pytest.fixture
def copied_package(tmp_path: Path) -> Path:
    """The package as it stands, with the project's own configuration beside it."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    copied = tmp_path / "src"
    shutil.copytree(ROOT / "src", copied, ignore=shutil.ignore_patterns("__pycache__"))
    assert len(list(copied.glob("evenkeel/**/*.py"))) > 20
    assert len(list(copied.glob("evenkeel_recipes/**/*.py"))) > 20
    return copied / "evenkeel"


def lint_imports(package: Path) -> Verdict:
    """Check the contracts on a copied package."""
    done = subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--no-cache"],
        cwd=package.parents[1],
        env={**os.environ, "PYTHONPATH": str(package.parent), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Verdict(status=done.returncode, output=done.stdout + done.stderr)


def plant(package: Path, module: str, line: str) -> None:
    """Add a line at the end of a module, which is made where it is missing."""
    path = package / module
    path.parent.mkdir(exist_ok=True)
    text = path.read_text(encoding="utf8") if path.exists() else ""
    path.write_text(f"{text}\n{line}\n", encoding="utf8")


def test_contracts_hold_for_the_package_as_it_is(copied_package: Path) -> None:
    """The twin of the tests below: nothing planted, nothing broken."""
    verdict = lint_imports(copied_package)
    assert verdict.counts == (NUM_CONTRACTS, 0), verdict.output
    assert verdict.status == 0


@pytest.mark.parametrize(
    ("planted", "contract", "named"),
    [
        pytest.param(
            {"core/__init__.py": "import evenkeel.step", "step/__init__.py": ""},
            "upper layers import lower ones, never sideways or up",
            "evenkeel.core is not allowed to import evenkeel.step",
            id="upwards",
        ),
        pytest.param(
            {"locate/__init__.py": "import evenkeel.diagnose", "diagnose/__init__.py": ""},
            "upper layers import lower ones, never sideways or up",
            "evenkeel.locate is not allowed to import evenkeel.diagnose",
            id="sideways",
        ),
        pytest.param(
            {"attic/__init__.py": '"""A room without a layer."""'},
            "upper layers import lower ones, never sideways or up",
            "evenkeel.attic",
            id="room-without-layer",
        ),
        pytest.param(
            {"core/__init__.py": "import torch"},
            "the torch-free zone does not import torch",
            "evenkeel.core is not allowed to import torch",
            id="torch-directly",
        ),
        pytest.param(
            {"journal/__init__.py": "import evenkeel.tensors.planted", "tensors/planted.py": "import torch"},
            "the torch-free zone does not import torch",
            "evenkeel.journal is not allowed to import torch",
            id="torch-through-another-room",
        ),
        pytest.param(
            {"core/__init__.py": "import evenkeel_recipes"},
            "evenkeel never imports evenkeel_recipes",
            "evenkeel is not allowed to import evenkeel_recipes",
            id="recipes",
        ),
        pytest.param(
            {"../evenkeel_recipes/deconvolution/data/reference.py": "import evenkeel_recipes.virtual_cell"},
            "recipes are strangers to one another and share only the kit",
            "evenkeel_recipes.deconvolution is not allowed to import evenkeel_recipes.virtual_cell",
            id="recipe-beside-recipe",
        ),
        pytest.param(
            {"../evenkeel_recipes/deconvolution/data/bulk.py": "import evenkeel_recipes.deconvolution.networks.model"},
            "rooms of the deconvolution import lower ones, never sideways or up",
            "evenkeel_recipes.deconvolution.data is not allowed to import evenkeel_recipes.deconvolution.networks",
            id="deconvolution-upwards",
        ),
        pytest.param(
            {"../evenkeel_recipes/virtual_cell/cells/data.py": "import evenkeel_recipes.virtual_cell.model"},
            "rooms of the virtual cell import lower ones, never sideways or up",
            "evenkeel_recipes.virtual_cell.cells is not allowed to import evenkeel_recipes.virtual_cell.model",
            id="virtual-cell-upwards",
        ),
        pytest.param(
            {"../evenkeel_recipes/virtual_cell/means/means.py": "import evenkeel_recipes.virtual_cell.model.losses"},
            "rooms of the virtual cell import lower ones, never sideways or up",
            "evenkeel_recipes.virtual_cell.means is not allowed to import evenkeel_recipes.virtual_cell.model",
            id="virtual-cell-sideways",
        ),
        pytest.param(
            {"../evenkeel_recipes/virtual_cell/attic/__init__.py": '"""A room without a layer."""'},
            "rooms of the virtual cell import lower ones, never sideways or up",
            "evenkeel_recipes.virtual_cell.attic",
            id="virtual-cell-room-without-layer",
        ),
        pytest.param(
            {"../evenkeel_recipes/kit/refusal.py": "import evenkeel.step.window"},
            "recipes use evenkeel's public face only",
            "evenkeel_recipes is not allowed to import evenkeel.step",
            id="recipe-behind-the-face",
        ),
    ],
)
def test_planted_import_breaks_its_contract(
    copied_package: Path, planted: dict[str, str], contract: str, named: str
) -> None:
    """One offending import breaks exactly one contract, and the output says which and why."""
    for module, line in planted.items():
        plant(copied_package, module, line)
    verdict = lint_imports(copied_package)
    assert verdict.status == 1
    assert verdict.counts == (NUM_CONTRACTS - 1, 1), verdict.output
    assert f"{contract} BROKEN" in verdict.text
    assert named in verdict.text
