"""`evenkeel recipes`: what is installed, run, and copied."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evenkeel.cli.main import parse
from evenkeel.cli.recipes import carry_out, find, installed
from evenkeel.core.errors import UsageError
from evenkeel.core.settings import RecipeCall


def test_the_recipes_of_this_package_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    """Their first lines are shown."""
    assert {"deconvolution", "virtual-cell"} <= set(installed())
    assert parse(["recipes", "list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == len(installed())
    assert all(len(line) > 40 for line in shown)


def test_a_command_goes_to_the_recipe_with_all_its_arguments() -> None:
    """Nothing of it is read on the way, not even --help."""
    asked = parse(["recipes", "run", "deconvolution", "--quick-test", "--help"])
    assert asked == RecipeCall("deconvolution", "run", ("--quick-test", "--help"))
    assert parse(["recipes", "predict", "virtual-cell"]) == RecipeCall("virtual-cell", "predict", ())
    assert parse(["recipes", "do", "deconvolution", "monitor", "--watch"]) == RecipeCall(
        "deconvolution", "monitor", ("--watch",)
    )


def test_a_recipe_that_is_not_there_is_named_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error."""
    assert parse(["recipes", "run", "deconvolutions"]) == 2
    assert "near it: deconvolution; installed are deconvolution" in capsys.readouterr().err
    with pytest.raises(UsageError, match="there is no recipe 'x'"):
        find("x")


def test_the_recipe_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """Its statuses are those of the command."""
    assert carry_out(RecipeCall("deconvolution", "explain", ("--fault", "cli_drop"))) == 0
    assert "options changed nothing" in capsys.readouterr().out
    assert carry_out(RecipeCall("deconvolution", "run", ("--no-such-option",))) == 2


def test_listing_imports_no_torch() -> None:
    """A list is quick."""
    code = "import sys; from evenkeel.cli.main import parse; parse(['recipes', 'list']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_a_copy_is_the_users_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It imports itself and not what it was copied from."""
    goal = tmp_path / "mine"
    assert parse(["recipes", "copy", "deconvolution", str(goal)]) == 0
    assert "python -m mine run" in capsys.readouterr().out
    assert (goal / "networks/losses.py").is_file()
    assert "evenkeel_recipes.deconvolution" not in (goal / "commands/run.py").read_text()
    done = subprocess.run(
        [sys.executable, "-m", "mine", "explain", "--fault", "cli_drop"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert parse(["recipes", "copy", "deconvolution", str(goal)]) == 2
