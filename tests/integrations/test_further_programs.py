"""Programs of other ordinary shapes under `evenkeel run`: as they are alone when healthy; their faults are found."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.conftest import Finished, run_python
from tests.integrations.test_programs import PROGRAMS, SCRIPTS, incident_in
from tests.tables import rows

for _name in ("lightning", "accelerate"):
    pytest.importorskip(_name, reason=f"{_name} is not installed")


@dataclass(frozen=True, slots=True)
class Shape:
    """A script and how it is started."""

    name: str
    script: str
    environment: dict[str, str] = field(default_factory=dict, hash=False)
    num_ranks: int = 1

    def __str__(self) -> str:
        return self.name


def with_options(name: str, num_ranks: int = 1, **options: object) -> Shape:
    """Lightning's Trainer, given these."""
    return Shape(name, "lightning_options", {"OPTIONS": json.dumps(options)}, num_ranks)


GAN = Shape("two optimizers by hand", "lightning_gan")
CLIPPED = with_options("accumulated and clipped", accumulate_grad_batches=2, gradient_clip_val=0.5)
MIXED = with_options("bf16-mixed", precision="bf16-mixed")
TRUE_HALF = with_options("16-true", precision="16-true")
DDP_SPAWN = with_options("ddp_spawn", num_ranks=2, strategy="ddp_spawn", devices=2)
ACCELERATE_BF16 = Shape("accelerate in bf16", "accelerate_vae", {"PRECISION": "bf16"})
HALF = Shape("float16 without a scaler", "half_without_scaler")
SPAWNED = Shape("mp.spawn", "spawned_ranks", num_ranks=2)
FORKED = Shape("forked ranks", "spawned_ranks", {"START": "fork"})  # they share the journal of the first process
HYDRA = Shape("Hydra", "hydra_regression")
STOPS_EARLY = Shape("stopped early by a NaN", "lightning_options", {"FAULT": "validation"})
SHAPES = (GAN, CLIPPED, MIXED, TRUE_HALF, DDP_SPAWN, ACCELERATE_BF16, HALF, SPAWNED, FORKED, HYDRA, STOPS_EARLY)


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault, and what has to be said of it."""

    shape: Shape
    fault: str
    step: int
    family: str
    sample: int | None = 53  # in the data set; None: the whole batch
    rank: int = 0

    def __str__(self) -> str:
        return f"{self.shape}-{self.fault}"


PLANTED = (
    Planted(GAN, "critic", 12, "domain"),
    Planted(GAN, "generator", 13, "gradient_singularity"),
    Planted(CLIPPED, "forward", 3, "domain"),
    Planted(MIXED, "forward", 6, "domain"),
    Planted(TRUE_HALF, "half", 0, "range", sample=None),
    Planted(DDP_SPAWN, "forward", 4, "domain", rank=0),
    Planted(ACCELERATE_BF16, "forward", 5, "domain", sample=45),
    Planted(HALF, "forward", 6, "range"),
    Planted(HALF, "backward", 0, "precision", sample=None),
    Planted(SPAWNED, "forward", 3, "domain", rank=1),
    Planted(FORKED, "forward", 3, "domain", rank=1),
    Planted(HYDRA, "forward", 6, "domain"),
)


def run(shape: Shape, out: Path | None, **environment: str) -> Finished:
    """Start it, under `evenkeel run` where there is a directory to write to."""
    if shape is HYDRA and find_spec("hydra") is None:
        pytest.skip("hydra is not installed")
    head = () if out is None else ("-m", "evenkeel", "run", "--no-experiments", "--out", out)
    return run_python(*head, f"{shape.script}.py", cwd=SCRIPTS, **{**shape.environment, **environment})


def trained(done: Finished) -> list[bytes]:
    """The loss and the digest of all parameters, to the bit."""
    return [line for line in done.stdout.splitlines() if line.startswith(b"trained")]


def test_every_shape_has_a_fault() -> None:
    """But the one whose steps are healthy; and every script is in a table."""
    assert (len(SHAPES), len(PLANTED)) == (11, 12)
    assert {planted.shape for planted in PLANTED} == set(SHAPES) - {STOPS_EARLY}
    tables = {program.script for program in PROGRAMS} | {shape.script for shape in SHAPES}
    assert tables == {path.stem for path in SCRIPTS.glob("*.py")}


@pytest.mark.parametrize("planted", rows(PLANTED, always={PLANTED[9]}))
def test_fault_is_found(planted: Planted, tmp_path: Path) -> None:
    """Stopped with status 3 at the right step, replayed in the loop itself, on the marked line, at the right sample."""
    out = tmp_path / "out"
    done = run(planted.shape, out, FAULT=planted.fault)
    assert done.status == 3, done.said
    told = incident_in(out)
    assert (told["step"], told["reproduced"], told["rank"]) == (planted.step, True, planted.rank)
    assert told["how_replayed"].startswith("in process")
    assert told["cause"]["family"] == planted.family
    assert place_of(told["origin"]) == (f"{planted.shape.script}.py", line_of(planted))
    if planted.sample is not None:
        assert told["origin"]["dataset_indices"] == [planted.sample]
    journals = {f"journal-rank{rank}.jsonl" for rank in range(planted.shape.num_ranks)}
    assert {path.name for path in out.glob("journal-*")} == journals
    assert ("no scaler took part" in done.said) is (planted.fault == "backward")


def place_of(origin: dict[str, Any]) -> tuple[str, int]:
    """File and line."""
    return Path(origin["file"]).name, origin["line"]


def line_of(planted: Planted) -> int:
    """The line that is marked as the origin of a fault."""
    lines = (SCRIPTS / f"{planted.shape.script}.py").read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"# origin: {planted.fault}"))


@pytest.mark.parametrize("shape", rows(SHAPES, always={SPAWNED}))
def test_healthy_run_stays_as_it_is(shape: Shape, tmp_path: Path) -> None:
    """Every bit that it prints, and its status; a NaN of its validation is its own affair."""
    alone, watched = run(shape, None), run(shape, tmp_path / "out")
    assert (alone.status, watched.status) == (0, 0), watched.said
    assert len(trained(alone)) > 0
    assert watched.stdout == alone.stdout
    assert b"evenkeel" not in watched.stderr
    assert not (tmp_path / "out" / "incident.json").exists()


HYDRA_STARTS_RANKS = """
import hydra, lightning, torch
from hydra.core.config_store import ConfigStore
from lightning.pytorch.demos.boring_classes import BoringModel

ConfigStore.instance().store("config", {"hydra": {"output_subdir": None, "run": {"dir": "."}}})

@hydra.main(version_base=None, config_name="config")
def main(_config):
    lightning.Trainer(
        max_epochs=1, accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False
    ).fit(BoringModel())

main()
"""


@pytest.mark.long
def test_ranks_that_lightning_starts_through_hydra_are_refused(tmp_path: Path) -> None:
    """With one sentence that says what to do, and status 2."""
    pytest.importorskip("hydra", reason="hydra is not installed")
    (tmp_path / "train.py").write_text(HYDRA_STARTS_RANKS)
    done = run_python("-m", "evenkeel", "run", "--out", "out", "train.py", cwd=tmp_path)
    assert done.status == 2, done.said
    sentence = done.stderr.decode().splitlines()[-1]
    assert sentence.startswith("evenkeel: Lightning starts the other ranks of a program that uses Hydra"), sentence
    assert "torchrun" in sentence
