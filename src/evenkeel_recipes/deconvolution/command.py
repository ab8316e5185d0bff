"""The commands of this recipe: `evenkeel recipes run deconvolution`, and others."""

from __future__ import annotations

from functools import partial

from evenkeel_recipes.deconvolution import config
from evenkeel_recipes.deconvolution.commands.check_data import check_data
from evenkeel_recipes.deconvolution.commands.doctor import doctor
from evenkeel_recipes.deconvolution.commands.draw_samples import draw_samples
from evenkeel_recipes.deconvolution.commands.examine import examine
from evenkeel_recipes.deconvolution.commands.explain import explain
from evenkeel_recipes.deconvolution.commands.export import export_signature
from evenkeel_recipes.deconvolution.commands.menu import menu
from evenkeel_recipes.deconvolution.commands.monitor import monitor
from evenkeel_recipes.deconvolution.commands.predict import predict
from evenkeel_recipes.deconvolution.commands.run import run
from evenkeel_recipes.deconvolution.commands.split_reference import split_reference
from evenkeel_recipes.kit.command import Commands

commands = Commands("deconvolution", help="Cell-type proportions of bulk RNA from a single-cell reference.")
commands.offer("prepare", config.PrepareConfig, split_reference)
commands.offer("simulate", config.SimulateConfig, draw_samples)
commands.offer("validate", config.ValidateConfig, check_data)
commands.offer("run", config.RunConfig, run)
commands.offer("monitor", config.MonitorConfig, monitor)
commands.offer("doctor", config.DoctorConfig, doctor)
commands.offer("test", config.TestConfig, examine)
commands.offer("predict", config.PredictConfig, predict)
commands.offer("export-signature", config.ExportConfig, export_signature)
commands.offer("explain", config.ExplainConfig, explain)
commands.offer("menu", config.MenuConfig, partial(menu, commands.call))
