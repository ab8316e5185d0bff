"""Observing changes nothing: a healthy script ends with the same bits, output and status under `evenkeel run`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tables import rows

from evenkeel.core.events import RunEnded, RunStarted, StepDone, UpdateRefused
from evenkeel.journal.reader import read

Start = Callable[..., Any]  # starts a program; see conftest

# script: number of optimizer.step() calls; of backward passes where there is no optimizer
NUM_STEPS = {
    "loader_shuffled": 20,
    "full_batch": 12,
    "drawn_torch": 12,
    "drawn_numpy": 15,
    "accumulation": 4,
    "gan_discriminator": 12,
    "adamw": 8,
    "adamw_fused": 8,
    "clip_grad": 10,
    "autocast_bf16": 8,
    "batchnorm_dropout": 12,
    "scheduler": 24,
    "argparse_main": 16,
    "array_slices": 12,
    "loader_workers": 6,
    "persistent_workers": 12,
    "iter_next": 12,
    "islice_last": 10,
    "attention_mask": 6,
    "own_optimizer": 6,
    "trainer": 6,
    "manual_sgd": 9,
    "manual_autograd_grad": 10,
    "lbfgs": 6,
    "adam_closure": 8,
    "two_losses": 18,
    "zero_grad_keep": 6,
    "checkpoint_forward": 8,
    "checkpoint_backward": 8,
    "checkpoint_reentrant": 8,
    "compiled": 6,
    "compiled_only": 6,
    "ema": 9,
    "mean_teacher": 8,
    "averaged_model": 10,
    "frozen": 8,
    "sparse_embedding": 16,
    "complex_weights": 8,
    "empty_group": 10,
    "rebuilt": 12,
    "to_float64": 10,
    "workers_spawn": 5,
    "prefetch_generator": 9,
    "prefetch_thread": 10,
    "iterable_dataset": 9,
    "nested_inner": 16,
    "nested_outer": 20,
    "eval_inside": 12,
    "subclass": 8,
    "all_together": 20,
    "skipped": 14,
    "amp_backoff": 14,  # of 30: the scaler leaves the first 16 out
    "amp_forward_overflow": 10,
    "amp_thrash": 30,
    "amp_fused": 30,  # a fused optimizer is called to leave a step out
    "amp_unscale_clip": 30,
}
# script: updates that its GradScaler refused; none in the others
NUM_REFUSED = {"amp_backoff": 16, "amp_fused": 16}
SLOW = {"compiled"}  # inductor calls a C++ compiler
ALWAYS = {
    "accumulation", "all_together", "amp_unscale_clip", "checkpoint_reentrant", "compiled_only", "drawn_numpy", "lbfgs",
    "loader_workers", "manual_sgd", "prefetch_thread", "trainer",
}  # fmt: skip
# Their styles are among those above; a run costs two starts of torch.
LEFT_OUT = {"gan_generator", "dict_batches", "first_step", "last_step", "batchnorm_buffer", "final_state"}


def test_every_style_is_compared(scripts: Path) -> None:
    """The table names what is run; what is left out is left out by name."""
    present = {p.stem for p in scripts.glob("*.py")} | {p.parent.name for p in scripts.glob("*/__init__.py")}
    assert len(NUM_STEPS) == 56
    assert len(ALWAYS & NUM_STEPS.keys()) == len(ALWAYS) == 11
    assert NUM_STEPS.keys() | LEFT_OUT == present


@pytest.mark.parametrize("script", rows(NUM_STEPS, always=ALWAYS, slow=SLOW))
def test_healthy_run_keeps_every_bit(
    script: str, scripts: Path, plain: Start, supervised: Start, tmp_path: Path
) -> None:
    """Parameters, optimizer state, random states, output and status are those of the plain run."""
    target = (f"{script}.py",) if (scripts / f"{script}.py").exists() else ("-m", f"{script}.train")
    out = tmp_path / "out"
    alone = plain(*target, tmp_path / "alone", HEALTHY="1")
    watched = supervised(*target, tmp_path / "watched", out=out, HEALTHY="1")
    assert alone.status == 0, alone.said
    assert alone.stderr == b""
    assert watched == alone, watched.said
    assert (tmp_path / "watched").read_text().splitlines() == final_state(tmp_path / "alone")
    assert not (out / "incident.json").exists()
    assert_journal(out / "journal-rank0.jsonl", NUM_STEPS[script], NUM_REFUSED.get(script, 0))


def test_the_comparison_can_fail(plain: Start, tmp_path: Path) -> None:
    """The final state of a run tells two learning rates apart."""
    for name, healthy in (("slow", {"HEALTHY": "1"}), ("fast", {})):
        assert plain("full_batch.py", tmp_path / name, **healthy).status == 0
    assert final_state(tmp_path / "slow") != final_state(tmp_path / "fast")


def final_state(path: Path) -> list[str]:
    """The lines `name digest` that a script ended with."""
    lines = path.read_text().splitlines()
    assert len(lines) > 5, f"{path} holds no final state"
    return lines


def assert_journal(path: Path, num_steps: int, num_refused: int) -> None:
    """One line at the start, one for each step in order and for each refusal, one at the end."""
    reading = read(path)
    assert reading.unreadable == ()
    first, *events, last = reading.events
    assert isinstance(first, RunStarted)
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [event.step for event in steps] == list(range(num_steps))
    assert [event.step for event in steps if event.loss is None] == []
    assert sum(isinstance(event, UpdateRefused) for event in events) == num_refused
    assert len(events) == num_steps + num_refused
    assert isinstance(last, RunEnded)
    assert (last.num_steps, last.status) == (num_steps, 0)
