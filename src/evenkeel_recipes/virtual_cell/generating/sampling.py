"""Generated cells: control cells of the context, carried by the flow, decoded, and drawn as counts."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evenkeel import ops
from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.model.latents import Posterior, drawn
from evenkeel_recipes.virtual_cell.model.model import VirtualCell

SOLVERS = {solver.name: (solver, evaluations) for solver, evaluations in
           ((ops.EULER, 1), (ops.MIDPOINT, 2), (ops.HEUN, 2), (ops.RK4, 4))}  # fmt: skip
CELLS_AT_ONCE = 2048
SHOWN = 5  # cells that are named


@dataclass(frozen=True, slots=True)
class Bank:
    """Control cells of training, as latents: where generated cells start, and what depth they have.

    Attributes:
        latents: posteriors of the cells.
        log_library: [cells, 1] float32.
        batch, cell_type: [cells] int64.
        spatial: [cells, 2 or 3], where known.
    """

    latents: Posterior
    log_library: Tensor
    batch: Tensor
    cell_type: Tensor
    spatial: Tensor | None

    def pick(self, cell_type: int, batch: int | None, n: int, generator: torch.Generator) -> Tensor:
        """Places of n cells of a type (and batch), each as often as the others but for one.

        Raises:
            Refused: there is none.
        """
        wanted = self.cell_type == cell_type
        if batch is not None:
            wanted = wanted & (self.batch == batch)
        pool = wanted.nonzero().flatten()
        if not len(pool):
            raise Refused("no control cell of that type and batch was trained on, so there is no cell to start from")
        rest = torch.randperm(len(pool), generator=generator)[: n % len(pool)]
        return torch.cat([pool.repeat(n // len(pool)), pool[rest]])


@dataclass(frozen=True, slots=True)
class How:
    """How cells are generated; see `PredictConfig`. `source` as trained."""

    solver: str = "midpoint"
    n_steps: int = 20
    guidance: float = 1.0
    tech: str = "match_batch"
    source: str = "control"
    on_bad: str = "stop"
    library: str = "sample"


@dataclass(frozen=True, slots=True)
class Start:
    """Everything random about cells before they are treated; used again, it gives the same cells with another code.

    Attributes:
        z, z_tech, log_library: [n, dim_int], [n, dim_tech] and [n, 1].
        row: [n], which cell it is, also after some were taken out.
    """

    z: Tensor
    z_tech: Tensor
    log_library: Tensor
    batch: Tensor
    cell_type: Tensor
    spatial: Tensor | None
    row: Tensor

    def take(self, chosen: Tensor) -> Start:
        """Those cells for which `chosen` bool [n] holds."""
        spatial = None if self.spatial is None else self.spatial[chosen]
        return Start(self.z[chosen], self.z_tech[chosen], self.log_library[chosen], self.batch[chosen],
                     self.cell_type[chosen], spatial, self.row[chosen])  # fmt: skip


def begin(bank: Bank, places: Tensor, how: How, seed: int) -> Start:
    """Draw the random part of cells at these places of the bank."""
    latents = Posterior(*(tensor[places] for tensor in bank.latents))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        z = drawn(latents.mean, latents.log_var)
        z = torch.randn_like(z) if how.source == "noise" else z
        z_tech = drawn(latents.tech_mean, latents.tech_log_var)
        if how.tech == "prior":
            z_tech = torch.randn_like(z_tech)
        elif how.tech == "zero":
            z_tech = torch.zeros_like(z_tech)
    spatial = None if bank.spatial is None else bank.spatial[places]
    log_library = bank.log_library[places]
    if how.library == "median":
        log_library = log_library.median().expand_as(log_library)
    return Start(z, z_tech, log_library, bank.batch[places], bank.cell_type[places], spatial, torch.arange(len(places)))


@torch.no_grad()
def flowed(model: VirtualCell, start: Start, code: Tensor, how: How) -> Tensor:
    """Latents [n, dim_int] of the start with a code [codes].

    Raises:
        ops.NonFiniteVelocity: a velocity was not finite; no cell is returned as if nothing were. The cells are named.
    """
    model.eval()
    return torch.cat([_chunk(model, start, some, code, how) for some in _slices(len(start.z))])


def _chunk(model: VirtualCell, start: Start, some: slice, code: Tensor, how: How) -> Tensor:
    velocity, times, solver = _problem(model, start, some, code, how)
    if how.on_bad == "mask":
        return _each(velocity, start.z[some], times, solver)
    try:
        return ops.integrate(velocity, start.z[some], times, solver)
    except ops.NonFiniteVelocity as error:
        ended = _each(velocity, start.z[some], times, solver)
        raise ops.NonFiniteVelocity(f"{error}; {_bad_cells(start.row[some], ended)}") from error


def _each(velocity: ops.ode.Velocity, z: Tensor, times: list[float], solver: ops.Solver) -> Tensor:
    """Where cells end. Each moves by itself, so a bad velocity stays in the row of its cell."""
    for time, until in itertools.pairwise(times):
        z = solver.step(velocity, z, time, until)
    return z


def _bad_cells(row: Tensor, ended: Tensor) -> str:
    bad = row[~ended.isfinite().all(1)].tolist()
    shown = ", ".join(map(str, bad[:SHOWN])) + (", …" if len(bad) > SHOWN else "")
    return f"{len(bad)} of {len(row)} cells generated together never arrive: number {shown} (counted from 0)"


@torch.no_grad()
def solver_error(model: VirtualCell, start: Start, code: Tensor, how: How) -> float:
    """Root mean square of the estimated error of the first cells' latents, by halving the steps."""
    model.eval()
    velocity, times, solver = _problem(model, start, slice(0, CELLS_AT_ONCE), code, how)
    estimated = ops.integrate_with_estimate(velocity, start.z[:CELLS_AT_ONCE], times, solver)
    # The estimate is of the halved steps; without halving the error is 2**order times that.
    return float(estimated.error.square().mean().sqrt()) * float(2**solver.order)


def _problem(
    model: VirtualCell, start: Start, some: slice, code: Tensor, how: How
) -> tuple[ops.ode.Velocity, list[float], ops.Solver]:
    solver, evaluations = SOLVERS[how.solver]
    if how.n_steps < evaluations:
        raise Refused(f"--n-steps {how.n_steps}: one step of {how.solver} takes {evaluations} evaluations")
    steps = how.n_steps // evaluations
    kind, batch = start.cell_type[some], start.batch[some]
    context = model.field.context(batch, kind, None if start.spatial is None else start.spatial[some])
    asked = model.parts.asked_code(code[None].expand(len(kind), -1))
    # Without a perturbation the weights are 0, so this scales its part of the velocity and leaves the control's alone.
    alpha = how.guidance * model.field.effect(asked, kind, model.parts)

    def velocity(z: Tensor, time: float) -> Tensor:
        now = torch.full((len(z), 1), time, device=z.device)
        return model.parts.velocity(model.field(z, now, alpha, context, model.parts))

    return velocity, [step / steps for step in range(steps + 1)], solver


@torch.no_grad()
def log_means(model: VirtualCell, z: Tensor, start: Start, library_shift: float, offset: Tensor | None) -> Tensor:
    """Log of the expected counts [n, genes], with libraries moved by a factor exp(library_shift)."""
    model.eval()
    return torch.cat([
        model.log_mean(z[some], start.z_tech[some], start.log_library[some] + library_shift, offset)
        for some in _slices(len(z))
    ])  # fmt: skip


@torch.no_grad()
def sampled(model: VirtualCell, log_mean: Tensor, batch: Tensor, seed: int, log_theta_shift: float = 0.0) -> Tensor:
    """Counts [n, genes] float32, drawn as Poisson of a Gamma: negative binomial, with theta moved by a factor.

    The same seed gives cells with other means the same luck, gene by gene, as far as their numbers of draws agree.
    """
    rng = np.random.default_rng(seed)
    theta = (model.decoder.log_theta(batch) + log_theta_shift).exp().numpy()
    counts = np.empty(log_mean.shape, dtype=np.float32)
    for some in _slices(len(log_mean)):
        shape = np.broadcast_to(theta[some] if len(theta) > 1 else theta, log_mean[some].shape)
        rate = rng.standard_gamma(shape, dtype=np.float32) / shape * log_mean[some].exp().numpy()
        counts[some] = rng.poisson(rate)
    return torch.from_numpy(counts)


def _slices(n: int) -> list[slice]:
    return [slice(at, at + CELLS_AT_ONCE) for at in range(0, n, CELLS_AT_ONCE)]
