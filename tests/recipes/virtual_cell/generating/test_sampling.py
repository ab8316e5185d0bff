"""Solvers against closed forms, the same luck for treated and untreated, and cells whose velocity is not finite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from evenkeel import ops
from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.commands.run import trained_of
from evenkeel_recipes.virtual_cell.generating.calibrate import moves_to
from evenkeel_recipes.virtual_cell.generating.generate import Asked, Trained, generate
from evenkeel_recipes.virtual_cell.generating.sampling import SOLVERS, How, begin, flowed, sampled, solver_error
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training.material import Material


@pytest.fixture
def trained(model: VirtualCell, material: Material) -> Trained:
    """Untrained weights, with bank and anchor: what is tested here does not depend on training."""
    return trained_of(model, material)


CODE = torch.tensor([1.0, 0, 0, 1, 0, 0])


@pytest.mark.parametrize(
    ("name", "evaluations", "ratio"),
    [("euler", 20, 0.938), ("midpoint", 20, 0.99986), ("heun", 20, 0.9999), ("rk4", 20, 0.99997)],
)
def test_solvers_give_gaussians_their_width(name: str, evaluations: int, ratio: float) -> None:
    """Standard deviation of samples over the true one, of the exact field between two standard Gaussians."""
    solver, each = SOLVERS[name]
    steps = evaluations // each
    times = [step / steps for step in range(steps + 1)]

    def velocity(z: torch.Tensor, t: float) -> torch.Tensor:
        return z * (2 * t - 1) / ((1 - t) ** 2 + t**2)

    assert float(ops.integrate(velocity, torch.ones(1, dtype=torch.float64), times, solver)) == pytest.approx(
        ratio, abs=2e-3
    )


@pytest.mark.parametrize("name", list(SOLVERS))
def test_solvers_agree_within_their_estimate(trained: Trained, name: str) -> None:
    """The estimated error of 8 evaluations is about the distance to 800."""
    start = begin(trained.bank, trained.bank.pick(0, None, 40, torch.Generator()), How(), 0)
    few, many = How(solver=name, n_steps=8), How(solver="rk4", n_steps=800)
    apart = float(
        (flowed(trained.model, start, CODE, few) - flowed(trained.model, start, CODE, many)).square().mean().sqrt()
    )
    assert solver_error(trained.model, start, CODE, few) == pytest.approx(apart, rel=0.5, abs=1e-6)


def test_treated_and_untreated_cells_share_their_luck(trained: Trained) -> None:
    """The same start, library and technical latent; with a code of zeros they are the same cells to the bit."""
    treated, control, again = (generate(trained, Asked(c, 1, 50, seed=4), How()) for c in (CODE, 0 * CODE, 0 * CODE))
    assert torch.equal(treated.start.z, control.start.z)
    assert torch.equal(treated.start.z_tech, control.start.z_tech)
    assert torch.equal(treated.start.log_library, control.start.log_library)
    assert torch.equal(control.counts, again.counts)
    assert not torch.equal(treated.z, control.z)


def test_guidance_scales_the_perturbation_alone(trained: Trained) -> None:
    """Control cells stay; none of it leaves treated cells where control cells are; and 1 is as trained."""
    start = begin(trained.bank, trained.bank.pick(0, None, 20, torch.Generator()), How(), 0)
    control = flowed(trained.model, start, 0 * CODE, How())
    assert torch.equal(control, flowed(trained.model, start, 0 * CODE, How(guidance=3.0)))
    assert torch.equal(control, flowed(trained.model, start, CODE, How(guidance=0.0)))
    apart = [(flowed(trained.model, start, CODE, How(guidance=w)) - control).norm() for w in (0.5, 1.0, 2.0)]
    assert apart[0] < apart[1] < apart[2]


def test_a_velocity_that_is_not_finite_stops_or_is_counted(trained: Trained) -> None:
    """Never a cell that stayed where it was. By row: one bad context, the other cells are given."""
    start = begin(trained.bank, trained.bank.pick(0, None, 20, torch.Generator()), How(), 0)
    start.z[3] = torch.nan
    with pytest.raises(ops.NonFiniteVelocity, match=r"step 0 of 10 .*; 1 of 20 cells .* never arrive: number 3 "):
        flowed(trained.model, start, CODE, How())
    masked = flowed(trained.model, start, CODE, How(on_bad="mask"))
    assert (~masked.isfinite().all(1)).nonzero().flatten().tolist() == [3]
    with torch.no_grad():
        trained.model.field.base.bias.fill_(torch.nan)
    with pytest.raises(Refused, match="the velocity of every cell was not finite"):
        generate(trained, Asked(CODE, 0, 20), How(on_bad="mask"))


@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_counts_have_the_moments_of_their_distribution(model: VirtualCell, shift: float) -> None:
    """Mean mu, variance mu + mu^2 / theta, with theta as trained and moved by a factor."""
    log_mean = torch.linspace(-2, 4, 40).expand(4000, 40)
    counts = sampled(model, log_mean, torch.zeros(4000, dtype=torch.long), 0, shift).double()
    log_theta = model.decoder.log_theta(torch.zeros(1, dtype=torch.long)).double() + shift
    mean, theta = log_mean[0].double().exp(), log_theta.exp()
    variance = (mean + mean**2 / theta).flatten()
    assert ((counts.mean(0) - mean).abs() / (variance / 4000).sqrt()).max() < 5
    assert ((counts.var(0) / variance).detach() - 1).abs().median() < 0.1
    assert torch.equal(counts, counts.round())


@pytest.mark.parametrize("library", [30.0, 3000.0])
def test_offsets_reach_the_mean_that_is_asked_for(library: float, rng: np.random.Generator) -> None:
    """Sparse and deep; a gene of which there is to be none gets none."""
    logits, log_theta = torch.from_numpy(rng.normal(0, 1, (2000, 50))).float(), torch.full((1, 50), 1.0)
    log_mean = torch.log_softmax(logits, 1) + np.log(library)
    moved = torch.from_numpy(rng.normal(0, 1, 50)).float()
    moved[7] = -20.0
    target = mean_of(torch.log_softmax(logits + moved, 1) + np.log(library), log_theta, 5)
    logits, spread = moves_to(target, log_mean, log_theta, 1)
    reached = mean_of(torch.log_softmax(log_mean + logits, 1) + np.log(library), log_theta + spread, 9)
    assert (mean_of(log_mean, log_theta, 9) - target).abs().median() > 0.3
    assert (reached - target).abs().median() < 0.07
    assert reached[7] < 0.02


def mean_of(log_mean: torch.Tensor, log_theta: torch.Tensor, seed: int) -> torch.Tensor:
    """Mean of log1p counts per 10,000 of drawn cells."""
    rng = np.random.default_rng(seed)
    theta = log_theta.exp().numpy()
    counts = torch.from_numpy(rng.poisson(rng.gamma(theta, 1 / theta, log_mean.shape) * log_mean.exp().numpy())).float()
    return torch.log1p(counts * 1e4 / counts.sum(1, keepdim=True).clamp(min=1)).mean(0)


def test_what_cannot_be_started_is_refused(trained: Trained) -> None:
    """A type without controls; fewer evaluations than one step takes."""
    with pytest.raises(Refused, match="no control cell of that type"):
        trained.bank.pick(9, None, 3, torch.Generator())
    with pytest.raises(Refused, match="one step of rk4 takes 4"):
        generate(trained, Asked(CODE, 0, 3), How(solver="rk4", n_steps=3))


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_control_cells_start_equally_often(trained: Trained, n: int) -> None:
    """But for one."""
    places = trained.bank.pick(1, None, n, torch.Generator().manual_seed(1))
    pool = trained.bank.cell_type.eq(1).nonzero().flatten()
    counted = torch.bincount(places, minlength=len(trained.bank.cell_type))[pool]
    assert len(places) == n == int(counted.sum())
    assert int(counted.max()) - int(counted.min()) <= 1


@pytest.mark.parametrize(("tech", "library"), [("prior", "sample"), ("zero", "median"), ("match_batch", "median")])
def test_technical_latents_and_libraries(trained: Trained, tech: str, library: float) -> None:
    """As they are asked for."""
    cells = generate(trained, Asked(CODE, 0, 30), replace(How(), tech=tech, library=library))
    assert bool(cells.start.z_tech.any()) is (tech != "zero")
    assert (len(cells.start.log_library.unique()) == 1) is (library == "median")


def test_noise_can_be_where_cells_start(material: Material, model_for: Callable[..., VirtualCell]) -> None:
    """Then latents of controls count for depth alone."""
    model = model_for(material)
    start = begin(trained_of(model, material).bank, torch.zeros(500, dtype=torch.long), How(source="noise"), 0)
    assert abs(float(start.z.std()) - 1) < 0.05
