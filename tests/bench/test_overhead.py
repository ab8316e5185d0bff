"""The benchmark of cost: how it compares times, when it complains, and that nobody but the guarded loop is guarded."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from evenkeel.core.errors import TrainingStopped

BENCH = Path(__file__).resolve().parents[2] / "bench"
QUICK_RUN_TIMEOUT_S = 600.0  # with all the other tools installed, on a machine that is busy


def loaded(name: str) -> ModuleType:
    """A module of bench/, which is no package; those that it imports have to be loaded before it."""
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


paired = loaded("paired")
workloads = loaded("workloads")
variants = loaded("variants")
rivals = loaded("rivals")
turns = loaded("turns")
overhead = loaded("overhead")
gpu_job = loaded("gpu_job")
gpu = loaded("gpu")

TINY = next(workload for workload in workloads.WORKLOADS if workload.name == "tiny")
NUM_ROUNDS = 40
VARIANTS = (
    "bare again",
    "evenkeel",
    "isfinite each",
    "anomaly mode",
    "DebugUnderflowOverflow",
    "Lightning",
    "Lightning anomaly",
    "msProbe",
)


def ratio_of(middle: float, spread: float = 0.0) -> object:
    """A ratio whose rounds lie around `middle`, up to `spread` away, on a machine that is ten times slower at times."""
    chance = random.Random(1)
    bare = [chance.choice((1.0, 10.0)) for _ in range(NUM_ROUNDS)]
    factors = [middle + spread * (2 * number / (NUM_ROUNDS - 1) - 1) for number in range(NUM_ROUNDS)]
    return paired.paired_ratio([time * factor for time, factor in zip(bare, factors, strict=True)], bare)


def measured(evenkeel: float, twin: float = 1.0, clipped: bool = True) -> object:  # noqa: FBT001, FBT002  as the table has it
    """A made-up measurement of the U-Net."""
    rounds = turns.Rounds([{"bare": 0.05, "bare again": 0.05 * twin, "evenkeel": 0.05 * evenkeel}] * NUM_ROUNDS)
    unet = next(workload for workload in workloads.WORKLOADS if workload.name == "U-Net")
    return overhead.Measured(unet, clipped, rounds)


class TestPairedRatio:
    def test_machine_that_slows_down_changes_no_ratio(self) -> None:
        """Both of a round see the same machine, so a tenfold slower round says the same as a fast one."""
        ratio = ratio_of(1.25)
        assert ratio.middle == ratio.low == ratio.high == 1.25
        assert ratio.num_rounds == NUM_ROUNDS

    def test_interval_holds_the_median_and_grows_with_the_spread(self) -> None:
        """The interval says how far the rounds disagree."""
        narrow, wide = ratio_of(1.1, 0.01), ratio_of(1.1, 0.05)
        assert narrow.low < narrow.middle < narrow.high
        assert wide.high - wide.low > 3 * (narrow.high - narrow.low)

    def test_cost_that_few_rounds_bear_is_in_the_overall_ratio(self) -> None:
        """The median hides what happens in one round of ten; the sum does not."""
        ratio = paired.paired_ratio([1.0] * 9 + [2.0], [1.0] * 10)
        assert ratio.middle == 1.0
        assert ratio.overall == pytest.approx(1.1)

    @pytest.mark.parametrize(("times", "beside"), [([], []), ([1.0], [1.0, 1.0])])
    def test_rounds_that_do_not_match_are_refused(self, times: list[float], beside: list[float]) -> None:
        """A ratio of nothing, or of times that were not taken side by side, is no figure."""
        with pytest.raises(ValueError, match=f"{len(times)} times beside {len(beside)}"):
            paired.paired_ratio(times, beside)


class TestVerdict:
    @pytest.mark.parametrize(
        ("middle", "spread", "twin", "expected"),
        [
            (1.03, 0.0, 1.0, "over"),
            (1.03, 0.01, 1.0, "over"),  # the interval ends above the budget
            (1.03, 0.2, 1.0, "undecided"),  # it reaches below
            (1.03, 0.0, 1.03, "undecided"),  # two bare loops lie further apart than that
            (1.03, 0.0, 0.97, "undecided"),  # in whichever direction
            (1.25, 0.0, 1.03, "over"),
            (1.005, 0.001, 1.002, "kept"),
            (1.0, 0.2, 1.0, "undecided"),  # who cannot see 1 % cannot vouch for it
            (1.0, 0.0, 0.97, "undecided"),
        ],
    )
    def test_budget_is_exceeded_only_beyond_the_noise(
        self, middle: float, spread: float, twin: float, expected: str
    ) -> None:
        """What the noise can explain is undecided; what it cannot is over; what it might hide is not kept."""
        assert paired.verdict(ratio_of(middle, spread), ratio_of(twin), 1.01) == expected

    def test_exactly_the_budget_is_kept(self) -> None:
        """The budget is the largest ratio allowed; the next number above it is too much."""
        budget = 1.25
        assert paired.verdict(ratio_of(budget), ratio_of(1.0), budget) == "kept"
        above = paired.paired_ratio([1.2500001] * NUM_ROUNDS, [1.0] * NUM_ROUNDS)
        assert paired.verdict(above, ratio_of(1.0), budget) == "over"


class TestShortfalls:
    def test_budgets_are_those_of_the_design(self) -> None:
        """1 % with clipping and 2 % without, 5 % where a step takes 2 ms."""
        assert [(each.name, each.budget_clipped, each.budget) for each in workloads.WORKLOADS] == [
            ("MLP-VAE", 1.01, 1.02),
            ("transformer", 1.01, 1.02),
            ("U-Net", 1.01, 1.02),
            ("tiny", 1.05, 1.05),
        ]

    def test_clipping_loop_is_held_to_its_own_budget(self) -> None:
        """1.015 is too much where the loop clips, and allowed where it does not."""
        assert measured(1.015, clipped=True).judged() == "over"
        assert measured(1.015, clipped=False).judged() == "kept"

    def test_one_budget_exceeded_fails_the_run(self) -> None:
        """The exit status is 1 for a single cost beyond the noise, and 0 for what the noise can explain."""
        assert overhead.status_of([measured(1.0), measured(1.05), measured(1.0)]) == 1
        assert overhead.status_of([measured(1.0), measured(1.05, twin=0.9)]) == 0

    def test_sentence_gives_ratio_budget_and_twin(self) -> None:
        """Whoever reads it can judge alone."""
        assert overhead.shortfalls([measured(1.005)]) == []
        (sentence,) = overhead.shortfalls([measured(1.05, twin=1.002)])
        for part in ("U-Net, clipped", "over", "1.0500", "1.01;", "1.0020"):
            assert part in sentence

    def test_step_shorter_than_the_budget_is_meant_for_is_said(self) -> None:
        """On a machine where the U-Net takes 1 ms, its 1 % is another promise."""
        quick = measured(1.0)
        for seconds in quick.rounds.seconds:
            seconds.update(dict.fromkeys(seconds, 0.001))
        assert "less than 20 ms" in overhead.shortfalls([quick])[0]


class TestPlan:
    def test_other_tools_get_their_share_of_the_time(self) -> None:
        """They join in while they lag behind, so that they are spread over the whole measurement."""
        plan = turns.Plan(
            num_steps=1, num_rival_steps=1, seconds=30.0, rival_seconds=10.0, fewest_rounds=2, most_rounds=9
        )
        assert plan.has_rivals(spent=0.0, rival_spent=0.0)
        assert plan.has_rivals(spent=15.0, rival_spent=4.0)
        assert not plan.has_rivals(spent=15.0, rival_spent=6.0)

    def test_rounds_end_with_the_time_but_not_before_the_fewest(self) -> None:
        """A slow machine makes few rounds, never none; a fast one stops at the most."""
        plan = turns.Plan(
            num_steps=1, num_rival_steps=1, seconds=30.0, rival_seconds=10.0, fewest_rounds=2, most_rounds=9
        )
        assert plan.goes_on(num_rounds=1, spent=100.0)
        assert not plan.goes_on(num_rounds=2, spent=100.0)
        assert plan.goes_on(num_rounds=8, spent=1.0)
        assert not plan.goes_on(num_rounds=9, spent=1.0)

    def test_tool_that_fails_is_named_and_not_asked_again(self) -> None:
        """A rival that breaks costs its own column, not the run."""

        class Breaks:
            num_asked = 0

            def block(self, _num_steps: int) -> float:
                self.num_asked += 1
                raise rivals.RivalFailedError("it has no such device")

        broken, training = Breaks(), workloads.training_of(TINY, clipped=False)
        ours = {name: variants.Looped(training.steps()) for name in turns.CLOSELY}
        rounds = turns.take_turns(ours | {"msProbe": broken}, turns.QUICK, random.Random(0))
        assert broken.num_asked == 1
        assert rounds.failures == {"msProbe": "not measured: it has no such device"}
        assert [sorted(seconds) for seconds in rounds.seconds] == [sorted(turns.CLOSELY)] * 2


class TestSharedTraining:
    def test_only_the_blocks_of_evenkeel_are_heard(self, tmp_path: Path) -> None:
        """Its loop goes on from block to block, and does not see the steps of the others in between."""
        training = workloads.training_of(TINY, clipped=True)
        with variants.guarding(training, tmp_path) as guarded:
            ours = variants.our_variants(training, guarded)
            assert len(ours) == 5
            for name in ("evenkeel", "bare", "evenkeel", "isfinite each", "anomaly mode", "evenkeel"):
                ours[name].block(2)
        assert guarded.loop.step == 3 * (2 + 1)
        assert guarded.incident is None
        lines = [json.loads(line) for line in (tmp_path / "journal-rank0.jsonl").read_text().splitlines()]
        assert len(lines) == 9

    def test_nothing_is_left_behind(self, tmp_path: Path) -> None:
        """After a guarded block torch and the training are as before, or the bare loop would pay for the guard."""
        training = workloads.training_of(TINY, clipped=True)
        steps = training.steps()
        next(steps)
        before = variants.fingerprint(training)
        with variants.guarding(training, tmp_path) as guarded, variants.listening_without_a_trace(guarded, training):
            assert variants.fingerprint(training) != before
            next(steps)
        assert variants.fingerprint(training) == before

    def test_what_is_left_behind_is_an_error(self, tmp_path: Path) -> None:
        """The twin: a hook that stays on a parameter is named."""
        training = workloads.training_of(TINY, clipped=True)
        parameter = next(training.model.parameters())
        with (
            variants.guarding(training, tmp_path) as guarded,
            pytest.raises(RuntimeError, match="hooks of parameters"),
            variants.listening_without_a_trace(guarded, training),
        ):
            parameter.register_hook(lambda gradient: gradient)

    def test_check_by_hand_sees_a_bad_gradient(self) -> None:
        """The check that stands for what people write does its work, so its cost is that of a real check."""
        model = nn.Linear(2, 1)
        model(torch.ones(1, 2)).sum().backward()
        variants.each_gradient_finite(model)
        model.weight.grad[0, 1] = torch.inf
        with pytest.raises(FloatingPointError, match="weight"):
            variants.each_gradient_finite(model)


class TestQuickRun:
    @pytest.mark.slow
    @pytest.mark.long  # with the rivals that the frameworks' tests bring along it takes a minute and a half
    @pytest.mark.timeout(QUICK_RUN_TIMEOUT_S + 30)
    def test_table_names_every_training_and_variant(self, tmp_path: Path) -> None:
        """A smoke run goes through all of it: each cell of ours has a figure, each tool a figure or a sentence."""
        record = tmp_path / "overhead.json"
        done = run("overhead.py", "--quick", "--json", str(record), timeout_s=QUICK_RUN_TIMEOUT_S)
        assert done.returncode == 0, done.stderr
        assert len(workloads.WORKLOADS) == 4
        for name in (*(workload.name for workload in workloads.WORKLOADS), "clipped", "smoke run"):
            assert name in done.stdout
        for name in VARIANTS:
            assert name.split()[0][:9] in done.stdout  # a narrow column breaks a long word
        given = json.loads(record.read_text())
        assert len(given["trainings"]) == 8
        for training in given["trainings"]:
            assert set(VARIANTS[:4]) <= set(training["ratios"])
            assert set(VARIANTS) <= set(training["ratios"]) | set(given["unmeasured"])

    def test_unknown_workload_is_refused_with_the_known_ones(self) -> None:
        """A wrong name is no empty table."""
        done = run("overhead.py", "--quick", "--only", "resnet")
        assert done.returncode == 1
        assert "no workload is called resnet; there are mlp-vae, transformer, u-net, tiny" in done.stderr


class TestRanks:
    @pytest.mark.slow
    @pytest.mark.timeout(QUICK_RUN_TIMEOUT_S + 30)
    def test_two_ranks_are_measured_with_and_without_their_agreement(self) -> None:
        """A line for each of the larger trainings, and a column for each loop."""
        done = run("ranks.py", "--quick", timeout_s=QUICK_RUN_TIMEOUT_S)
        assert done.returncode == 0, done.stderr
        large = [workload.name for workload in workloads.WORKLOADS if workload.is_large]
        assert len(large) == 3
        for word in (*large, "bare again", "evenkeel", "without the agreement"):
            assert word in done.stdout


class TestGPU:
    def test_without_a_device_one_sentence_is_said(self) -> None:
        """No device is no failure, and no figure either."""
        done = run("gpu.py", CUDA_VISIBLE_DEVICES="")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "No CUDA device is at hand, so nothing was measured; bench/gpu.py needs one.\n"

    @pytest.mark.parametrize("dtype", list(gpu.PRECISIONS), ids=str)
    def test_checks_hold_on_the_cpu(self, dtype: torch.dtype, tmp_path: Path) -> None:
        """What is checked on a GPU is true here too, so that a failure there speaks of the GPU."""
        assert gpu.changed_bits("cpu", dtype, tmp_path / "bits") == []
        assert gpu.skipped_otherwise("cpu", dtype, tmp_path / "skip") == []

    def test_another_batch_left_out_is_a_difference(self) -> None:
        """The twin: the comparison tells one step of twenty from another."""
        one, other = (gpu.Job("cpu", gpu.SMALL, 3, torch.float32) for _ in range(2))
        one.train(without=1)
        expected = one.state()
        torch.manual_seed(0)
        other.train(without=2)
        assert "head.weight" in gpu.differences(expected, other.state())

    def test_one_bit_is_a_difference(self) -> None:
        """-0 is not 0, a NaN is itself, and a missing tensor is missing."""
        ours = {"a": torch.tensor([0.0, torch.nan]), "b": torch.ones(2), "c": torch.tensor(1.0)}
        theirs = {"a": torch.tensor([-0.0, torch.nan]), "b": torch.ones(2)}
        assert gpu.differences(ours, theirs) == ["a", "c"]
        assert gpu.differences(ours, dict(ours)) == []

    def test_planted_batch_stops_a_guard_that_may_not_skip(self, tmp_path: Path) -> None:
        """The fault is real: under "stop" it ends the training."""
        job = gpu.Job("cpu", gpu.SMALL, 3, torch.float32, 1)
        guard = gpu.Guard(job.model, job.optimizer, out=tmp_path)
        with pytest.raises(TrainingStopped):
            job.train(guard.batches)

    def test_every_broken_promise_is_a_sentence(self) -> None:
        """The exit status is 1 for a wait, a changed bit, another skip, or the cost."""
        good = {"card": "a card", "precision": "float32", "bare_ms": 1.0, "twin": ratio_of(1.0), "extra_mib": 0.0}
        promises = {"waits": ["it waits"], "changed": ["bits"], "skipped_otherwise": ["skip"]}
        kept = gpu.Figures(**good, ratio=ratio_of(1.0), **{promise: [] for promise in promises})
        broken = gpu.Figures(**good, ratio=ratio_of(1.25), **promises)
        assert kept.broken() == []
        assert kept.row().count("|") == broken.row().count("|") == len(gpu.HEADINGS) + 1
        assert len(broken.broken()) == 4


def run(script: str, *arguments: str, timeout_s: float = 100.0, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script of the benchmark, on one thread, ended when it takes too long."""
    return subprocess.run(
        [sys.executable, str(BENCH / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
