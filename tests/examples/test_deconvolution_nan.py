from __future__ import annotations

import importlib
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "deconvolution_nan"
REAL = ROOT.parent / "shared" / "data" / "single_cell" / "pbmc68k_reduced.h5ad"
MODULES = ("simulator", "data", "model", "linear", "train", "train_fixed")
STANDARD_ERRORS = 4.0

needs_real_data = pytest.mark.skipif(not REAL.exists(), reason=f"{REAL.name} is not beside the repository")
both_sources = pytest.mark.parametrize("source", [None, pytest.param(REAL, marks=needs_real_data)], ids=["sim", "real"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """The files of the example, imported as its own scripts import them."""

    simulator: ModuleType
    data: ModuleType
    model: ModuleType
    linear: ModuleType
    train: ModuleType
    train_fixed: ModuleType


@pytest.fixture(scope="module")
def example() -> Iterator[Example]:
    """The example's modules, forgotten afterwards: other examples have a `data` and a `model` too."""
    shadowed = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield Example(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(shadowed)


def run_script(name: str, source: Path | None, epochs: int) -> list[str]:
    """Run a script of the example as a user would; it has to end with status 0."""
    command = [sys.executable, str(EXAMPLE / name), "--epochs", str(epochs)]
    command += [] if source is None else ["--data", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def printed(lines: list[str], start: str) -> list[float]:
    """The last number of every line that starts so."""
    return [float(line.split()[-1]) for line in lines if line.strip().startswith(start)]


def worst_deviation(cells: np.ndarray, expected: np.ndarray) -> float:
    """How many standard errors the worst gene lies from the expected composition."""
    residual = cells - expected * cells.sum(axis=1, keepdims=True)  # mean 0 for every gene if `expected` is right
    error = residual.std(axis=0) / math.sqrt(len(cells))
    return float(np.max(np.abs(residual.mean(axis=0)) / error))


def test_simulated_composition_follows_the_closed_form(example: Example) -> None:
    """Pooled cells have composition sum p t s / sum p t; without the cell sizes t the check fails."""
    rng = np.random.default_rng(5)
    population = example.simulator.draw_population(rng)
    proportions = rng.dirichlet(np.ones(example.simulator.NUM_TYPES))
    labels = rng.choice(len(proportions), 8_000, p=proportions)
    cells = example.simulator.draw_cells(population, labels, rng)
    by_counts = proportions * population.cell_size
    assert worst_deviation(cells, by_counts @ population.signature / by_counts.sum()) < STANDARD_ERRORS
    assert worst_deviation(cells, proportions @ population.signature) > STANDARD_ERRORS


@both_sources
def test_labels_are_the_cells_really_drawn(example: Example, source: Path | None) -> None:
    """Each proportion is the share of drawn cells of that type, to the last cell."""
    study = example.data.load(source)
    labels, num_types = study.labels.numpy(), len(study.types)
    for mixtures in (study.train, study.test):
        drawn = np.stack([np.bincount(row, minlength=num_types) for row in labels[mixtures.drawn]])
        assert np.array_equal(drawn, np.rint(1000 * mixtures.proportions.double().numpy()))
        assert np.allclose(drawn / 1000, mixtures.proportions.numpy(), rtol=0, atol=1e-7)


@both_sources
def test_bulks_are_counts_of_the_drawn_cells(example: Example, source: Path | None) -> None:
    """A bulk has whole counts, no more of any gene than its cells had, and at least the shallowest depth."""
    study = example.data.load(source)
    for row in range(0, len(study.test.bulk), 16):
        summed = study.counts[study.test.drawn[row]].double().sum(dim=0)
        bulk = study.test.bulk[row].double()
        assert torch.equal(bulk, bulk.round())
        assert bool((bulk <= summed).all())
        assert 0.9 * example.data.SHALLOWEST < float(bulk.sum() / summed.sum()) <= 1


@both_sources
def test_no_cell_is_in_training_and_test(example: Example, source: Path | None) -> None:
    """The halves are disjoint, cover all cells, hold every type, and mixtures stay inside their half."""
    study = example.data.load(source)
    halves = [set(study.train_cells.tolist()), set(study.test_cells.tolist())]
    assert halves[0].isdisjoint(halves[1])
    assert len(halves[0]) + len(halves[1]) == len(study.counts)
    for half, mixtures in zip(halves, (study.train, study.test), strict=True):
        assert set(np.unique(mixtures.drawn).tolist()) <= half
        assert set(study.labels[sorted(half)].tolist()) == set(range(len(study.types)))


def test_anchors_do_not_see_the_cells_that_were_mixed(example: Example) -> None:
    """In every round the cells kept for the reference are others than those drawn, and all are training cells."""
    study = example.data.load(None)
    rounds = example.linear.mix_by_halves(study, seed=0)
    assert len(rounds) == example.linear.NUM_HALVINGS
    for mixtures, kept in rounds:
        drawn = set(np.unique(mixtures.drawn).tolist())
        assert drawn.isdisjoint(kept.tolist())
        assert drawn | set(kept.tolist()) == set(study.train_cells.tolist())
        assert set(study.labels[kept].tolist()) == set(range(len(study.types)))
    of_round = [mixtures.bulk for mixtures, _ in rounds]
    assert torch.equal(example.linear.anchored_bulks(study, seed=0)[0], torch.cat(of_round))


def test_linear_answer_converges_without_noise(example: Example) -> None:
    """On noiseless mixtures EM and cell sizes tend to the true proportions; with a wrong cell size they do not."""
    rng = np.random.default_rng(6)
    population = example.simulator.draw_population(rng)
    signature = torch.from_numpy(population.signature)
    size = torch.from_numpy(population.cell_size)
    truth = torch.from_numpy(rng.dirichlet(np.ones(len(size)), 50))
    bulk = (truth * size) @ signature
    right = example.linear.Reference(signature=signature, cell_size=size)
    wrong = example.linear.Reference(signature=signature, cell_size=torch.ones_like(size))
    errors = [float((example.linear.unmix(bulk, right, num) - truth).abs().mean()) for num in (50, 200, 500, 2000)]
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < 5e-4
    assert errors[3] < 1e-5
    assert float((example.linear.unmix(bulk, wrong) - truth).abs().mean()) > 2e-2


def test_network_input_is_on_one_scale(example: Example) -> None:
    """expm1 of the corrected input sums to 10,000 per row, whatever the depth of the bulk was."""
    study = example.data.load(None)
    totals = torch.expm1(example.data.log_cp10k(study.train.bulk).double()).sum(dim=1)
    assert torch.allclose(totals, torch.full_like(totals, 1e4), rtol=1e-4, atol=0)
    assert float(study.train.bulk.sum(dim=1).max() / study.train.bulk.sum(dim=1).min()) > 10


def test_both_losses_against_the_closed_form(example: Example) -> None:
    """At logits 0, -200, -400 the divergence is 258.97 and has a gradient; the historical one has neither."""
    target = torch.tensor([[0.2, 0.3, 0.5]])
    logits = torch.tensor([[0.0, -200.0, -400.0]], requires_grad=True)
    loss = example.train_fixed.proportion_loss(logits, target)
    loss.backward()
    exact = 0.3 * 200 + 0.5 * 400 + sum(share * math.log(share) for share in (0.2, 0.3, 0.5))
    assert loss.item() == pytest.approx(exact, rel=1e-6)
    assert torch.allclose(logits.grad, torch.tensor([[0.8, -0.3, -0.5]]))

    logits = torch.tensor([[0.0, -200.0, -400.0]], requires_grad=True)
    loss = example.train.proportion_loss(logits, target)
    loss.backward()
    assert loss.item() == math.inf
    assert bool(logits.grad.isnan().any())


@both_sources
def test_first_batch_underflows_in_some_rows(example: Example, source: Path | None) -> None:
    """In the first batch finite logits of hundreds make some probabilities exactly 0, in some rows and not in all."""
    torch.manual_seed(0)
    study = example.data.load(source)
    model = example.model.PrototypeModel(torch.ones(len(study.types), study.counts.shape[1]))
    _, _, bulk, proportions = next(iter(example.train.make_loader(study)))
    logits = model.deconvolver(bulk).detach()
    hit = (logits.softmax(dim=1) == 0).any(dim=1)
    assert bool(logits.isfinite().all())
    assert float(logits.abs().max()) > 100
    assert 0 < int(hit.sum()) < len(hit)
    assert not math.isfinite(example.train.proportion_loss(logits, proportions).item())
    assert math.isfinite(example.train.proportion_loss(logits[~hit], proportions[~hit]).item())


@both_sources
def test_historical_script_ends_non_finite(source: Path | None) -> None:
    """The historical script loses both losses in its first epoch, and says it completed."""
    lines = run_script("train.py", source, epochs=2)
    losses = printed(lines, "epoch")
    assert len(losses) == 2
    assert not any(math.isfinite(loss) for loss in losses)
    assert math.isnan(printed(lines, "test MAE")[0])
    assert lines[-1] == "training completed"


@both_sources
def test_corrected_script_learns(source: Path | None) -> None:
    """The corrected script stays finite, its loss falls, and it is clearly better than the constant."""
    lines = run_script("train_fixed.py", source, epochs=8)
    losses = printed(lines, "epoch")
    assert len(losses) == 8
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < 0.6 * losses[0]
    (network,), (linear,), (constant,) = (printed(lines, name) for name in ("network", "linear", "constant"))
    assert network < 0.75 * constant
    assert linear < 0.75 * constant


def test_normalised_values_are_refused_as_counts(example: Example, tmp_path: Path) -> None:
    """A file of log values is refused with its range and the remedy; the same file with counts is read."""
    anndata = pytest.importorskip("anndata")
    counts = np.random.default_rng(0).poisson(3.0, (20, 6)).astype(np.float32) + 1
    file = anndata.AnnData(X=np.log1p(counts))
    file.obs["cell_type"] = ["a", "b"] * 10
    file.write_h5ad(tmp_path / "logs.h5ad")
    with pytest.raises(ValueError, match=r"logs\.h5ad has values from .* raw counts into layers\['counts'\]"):
        example.data.load(tmp_path / "logs.h5ad")
    file.layers["counts"] = counts
    file.write_h5ad(tmp_path / "counts.h5ad")
    assert torch.equal(example.data.load(tmp_path / "counts.h5ad").counts, torch.from_numpy(counts))
