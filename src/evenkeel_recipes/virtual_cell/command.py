"""What can be asked of the recipe."""

from __future__ import annotations

from evenkeel_recipes.kit.command import Commands
from evenkeel_recipes.virtual_cell.commands.checkup import checkup
from evenkeel_recipes.virtual_cell.commands.diagnose import diagnose
from evenkeel_recipes.virtual_cell.commands.evaluate import evaluate
from evenkeel_recipes.virtual_cell.commands.list_faults import NoConfig, list_faults
from evenkeel_recipes.virtual_cell.commands.predict import predict
from evenkeel_recipes.virtual_cell.commands.run import run
from evenkeel_recipes.virtual_cell.commands.validate import validate
from evenkeel_recipes.virtual_cell.config import (
    CheckupConfig,
    DataConfig,
    DiagnoseConfig,
    EvaluateConfig,
    PredictConfig,
    RunConfig,
)

commands = Commands("virtual-cell")
commands.offer("run", RunConfig, run)
commands.offer("predict", PredictConfig, predict)
commands.offer("validate", DataConfig, validate)
commands.offer("evaluate", EvaluateConfig, evaluate)
commands.offer("checkup", CheckupConfig, checkup)
commands.offer("diagnose", DiagnoseConfig, diagnose)
commands.offer("faults", NoConfig, list_faults)
