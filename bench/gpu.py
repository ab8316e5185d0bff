"""Measures and checks the guard on a GPU: its cost, that it never waits for the device, and that it changes no bit.

    python bench/gpu.py

A transformer with a fused AdamW, in float32 and under bfloat16 autocast. Prints a line of Markdown for each, to be
pasted into bench/RESULTS.md. The exit status is 1 when a promise is broken; 0, with a sentence, where there is no GPU.
"""

from __future__ import annotations

import os
import random
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import torch
from gpu_job import Batches, Job, Size, deterministic, differences, waiting_is_an_error
from paired import Ratio, paired_ratio, verdict

from evenkeel import Guard

BUDGET = 1.005
BARE, TWIN, GUARDED = "bare", "bare again", "guarded"
PRECISIONS = {torch.float32: "float32", torch.bfloat16: "bfloat16"}  # the second by autocast
POLICIES = ("stop", "skip", "observe")
LARGE = Size(width=1024, layers=8, words=8192, length=512, batch_size=16)  # to be timed: it keeps a card busy
SMALL = Size(width=256, layers=2, words=1000, length=64, batch_size=4)  # to be compared to the bit
NUM_ROUNDS = 20
NUM_STEPS = 10  # of a block
WARM_UP_STEPS = 2
NUM_SMALL_STEPS = 20
BAD_BATCH = 7
SYNC_COMPLAINT = "synchronizing CUDA operation"  # what torch says under set_sync_debug_mode("error")
MIB = 2**20
HEADINGS = (
    "date (UTC)",
    "card",
    "torch",
    "precision",
    "bare, ms",
    "guarded / bare",
    f"budget {BUDGET}",
    "bare again / bare",
    "waits for the device",
    "same bits",
    "skip as by hand",
    "peak memory beyond bare, MiB",
)


@dataclass(frozen=True)
class Figures:
    """What was found for one precision."""

    card: str
    precision: str
    bare_ms: float
    ratio: Ratio
    twin: Ratio
    waits: list[str]  # each of these is a sentence about a promise that was broken
    changed: list[str]
    skipped_otherwise: list[str]
    extra_mib: float

    def broken(self) -> list[str]:
        """A sentence for every promise that was not kept."""
        told = [*self.waits, *self.changed, *self.skipped_otherwise]
        if verdict(self.ratio, self.twin, BUDGET) == "over":
            told.append(
                f"guarded steps take {_written(self.ratio)} times the bare ones, the budget is {BUDGET}; "
                f"bare ones once more take {self.twin.middle:.4f} times"
            )
        return [f"{self.precision}: {sentence}" for sentence in told]

    def row(self) -> str:
        """A line of the table in RESULTS.md."""
        cells = (
            f"{datetime.now(tz=timezone.utc).date()}",
            self.card,
            torch.__version__,
            self.precision,
            f"{self.bare_ms:.2f}",
            _written(self.ratio),
            verdict(self.ratio, self.twin, BUDGET),
            _written(self.twin),
            "yes" if self.waits else "none",
            "no" if self.changed else "yes",
            "no" if self.skipped_otherwise else "yes",
            f"{self.extra_mib:.1f}",
        )
        return line_of(cells)


def line_of(cells: tuple[str, ...]) -> str:
    """Cells as a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def block_ms(job: Job, batches: Batches) -> float:
    """The milliseconds of a step on the device's own clock, after the steps that warm up."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for number, batch in enumerate(batches(job.loader)):
        if number == WARM_UP_STEPS:
            start.record()
        job.step(batch)
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / NUM_STEPS


def timed(dtype: torch.dtype, out: Path) -> tuple[float, Ratio, Ratio, float]:
    """The bare step, guarded and bare steps beside it in the same rounds, and the peak memory beyond bare."""
    job = Job("cuda", LARGE, WARM_UP_STEPS + NUM_STEPS, dtype)
    ways: dict[str, Batches] = {BARE: iter, TWIN: iter, GUARDED: Guard(job.model, job.optimizer, out=out).batches}
    peaks = {}
    for name, batches in ways.items():  # untimed: kernels are chosen, memory is taken
        block_ms(job, batches)
        torch.cuda.reset_peak_memory_stats()
        block_ms(job, batches)
        peaks[name] = torch.cuda.max_memory_allocated()
    times: dict[str, list[float]] = {name: [] for name in ways}
    chance = random.Random(0)
    for _ in range(NUM_ROUNDS):
        for name in chance.sample(list(ways), len(ways)):
            times[name].append(block_ms(job, ways[name]))
    bare = times[BARE]
    ratio, twin = paired_ratio(times[GUARDED], bare), paired_ratio(times[TWIN], bare)
    return sorted(bare)[len(bare) // 2], ratio, twin, (peaks[GUARDED] - peaks[BARE]) / MIB


def waits_in(job: Job, batches: Batches) -> str | None:
    """What torch complains of when this epoch waits for the device; None when it never does."""
    try:
        with waiting_is_an_error():
            job.train(batches)
    except RuntimeError as error:
        if SYNC_COMPLAINT not in str(error):
            raise
        return str(error).splitlines()[0]
    return None


def waits(dtype: torch.dtype, out: Path) -> list[str]:
    """The loops that wait for the device, the bare one first: while it waits by itself, nothing can be said.

    A guard may wait once, when it gets to know the loop; so each loop makes an epoch before the one that counts.
    """
    job = Job("cuda", SMALL, NUM_SMALL_STEPS, dtype)
    ways: dict[str, Batches] = {"the bare loop": iter}
    for policy in POLICIES:
        ways[f"under policy {policy} the loop"] = Guard(
            job.model, job.optimizer, policy=policy, out=out / policy
        ).batches
    told = []
    for name, batches in ways.items():
        job.train(batches)
        said = waits_in(job, batches)
        if said is not None:
            told.append(f"{name} waits for the device: {said}")
    return told


def changed_bits(device: str, dtype: torch.dtype, out: Path) -> list[str]:
    """The policies under which healthy steps end in other bits than the bare loop."""
    bare = Job(device, SMALL, NUM_SMALL_STEPS, dtype)
    bare.train()
    expected = bare.state()
    told = []
    for policy in POLICIES:
        job = Job(device, SMALL, NUM_SMALL_STEPS, dtype)
        job.train(Guard(job.model, job.optimizer, policy=policy, out=out / policy).batches)
        found = differences(expected, job.state())
        if found:
            told.append(f"under policy {policy} {len(found)} of {len(expected)} tensors changed, first {found[0]}")
    return told


def skipped_otherwise(device: str, dtype: torch.dtype, out: Path) -> list[str]:
    """Whether a planted NaN that is skipped leaves other bits than leaving its batch out by hand."""
    by_hand = Job(device, SMALL, NUM_SMALL_STEPS, dtype, BAD_BATCH)
    by_hand.train(without=BAD_BATCH)
    expected = by_hand.state()
    job = Job(device, SMALL, NUM_SMALL_STEPS, dtype, BAD_BATCH)
    guard = Guard(job.model, job.optimizer, policy="skip", out=out)
    job.train(guard.batches)
    found = differences(expected, job.state())
    told = []
    if guard.incident is None:
        told.append(f"the NaN planted in batch {BAD_BATCH} was not noticed")
    if found:
        told.append(
            f"after the skip {len(found)} of {len(expected)} tensors differ from those by hand, first {found[0]}"
        )
    return told


def figures_of(dtype: torch.dtype, out: Path) -> Figures:
    """Measure and check one precision."""
    bare_ms, ratio, twin, extra_mib = timed(dtype, out / "timed")
    with deterministic():
        changed = changed_bits("cuda", dtype, out / "bits")
        otherwise = skipped_otherwise("cuda", dtype, out / "skip")
    return Figures(
        card=torch.cuda.get_device_name(),
        precision=PRECISIONS[dtype],
        bare_ms=bare_ms,
        ratio=ratio,
        twin=twin,
        waits=waits(dtype, out / "waits"),
        changed=changed,
        skipped_otherwise=otherwise,
        extra_mib=extra_mib,
    )


def _written(ratio: Ratio) -> str:
    return f"{ratio.middle:.4f} ({ratio.low:.4f}–{ratio.high:.4f})"


def main() -> int:
    """Measure both precisions, print their lines, and say which promises were broken."""
    if not torch.cuda.is_available():
        print("No CUDA device is at hand, so nothing was measured; bench/gpu.py needs one.")
        return 0
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic products; read at cuBLAS's first use
    with tempfile.TemporaryDirectory() as name:
        found = [figures_of(dtype, Path(name) / precision) for dtype, precision in PRECISIONS.items()]
    print(line_of(HEADINGS))
    print(line_of(("---",) * len(HEADINGS)))
    for each in found:
        print(each.row())
    broken = [sentence for each in found for sentence in each.broken()]
    for sentence in broken:
        print(f"broken: {sentence}")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
