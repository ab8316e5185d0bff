"""The commands of this recipe: `evenkeel recipes run deconvolution`, and others."""

from __future__ import annotations

from evenkeel_recipes.deconvolution.config import ExplainConfig, MonitorConfig, PredictConfig, RunConfig
from evenkeel_recipes.deconvolution.explain import explain
from evenkeel_recipes.deconvolution.monitor import monitor
from evenkeel_recipes.deconvolution.run import predict, run
from evenkeel_recipes.kit.command import Commands

commands = Commands("deconvolution", help="Cell-type proportions of bulk RNA from a single-cell reference.")
commands.offer("run", RunConfig, run)
commands.offer("predict", PredictConfig, predict)
commands.offer("monitor", MonitorConfig, monitor)
commands.offer("explain", ExplainConfig, explain)
