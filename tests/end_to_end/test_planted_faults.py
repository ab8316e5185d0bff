"""A planted fault in every style of training script is caught at its step, replayed to the bit, and located."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests import tables

HERE = "in process"
CHILD = "in a child process"
EITHER = "in "  # the loop wrote into its own parameters or drew ahead: where it is repeated is no promise
ORIGIN = re.compile(r"# origin$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A script and the truth about its fault; the line is the one that ends with `# origin`.

    A step is a call of `optimizer.step()`, so one that a GradScaler leaves out counts only when it calls a fused
    optimizer all the same. Where there is no optimizer, a step is a backward pass.
    """

    script: str
    step: int
    phase: str
    symptom: str
    function: str
    replayed: str = HERE
    target: tuple[str, ...] = ()  # how it is started; default: the script's path
    origin_in: str = ""  # the file with the line, when it is not the script itself
    cause: str = ""  # the class of the first cause, where the kind of loop decides it

    def __str__(self) -> str:
        return self.script

    @property
    def place(self) -> str:
        """The file that holds the origin, relative to the scripts."""
        return self.origin_in or f"{self.script}.py"


def forward(script: str, step: int, function: str, **more: str | tuple[str, ...]) -> Planted:
    """A loss that is not finite, born in the forward pass."""
    return Planted(script=script, step=step, phase="forward", symptom="loss", function=function, **more)


def backward(script: str, step: int, function: str, **more: str | tuple[str, ...]) -> Planted:
    """A finite loss whose gradient is not finite."""
    return Planted(script=script, step=step, phase="backward", symptom="gradient", function=function, **more)


PLANTED = [
    forward("loader_shuffled", 5, "log"),
    forward("full_batch", 2, "log"),
    forward("drawn_torch", 10, "mean"),
    forward("drawn_numpy", 11, "sqrt"),
    backward("accumulation", 2, "sqrt"),
    forward("gan_generator", 7, "reciprocal"),
    forward("gan_discriminator", 6, "log"),
    backward("adamw", 5, "pow"),
    forward("adamw_fused", 5, "div"),
    backward("clip_grad", 4, "acos"),
    forward("autocast_bf16", 4, "log"),
    backward("batchnorm_dropout", 8, "sqrt"),
    forward("scheduler", 6, "exp"),
    forward("argparse_main", 3, "log"),
    forward("array_slices", 3, "reciprocal", replayed=CHILD),
    forward("loader_workers", 3, "sqrt"),
    forward("persistent_workers", 4, "div"),
    Planted(script="iter_next", step=4, phase="data", symptom="loss", function="addmm"),
    forward("islice_last", 4, "log1p"),
    forward("dict_batches", 2, "div"),
    forward("first_step", 0, "log"),
    forward("last_step", 5, "sqrt", replayed=CHILD),
    forward("attention_mask", 3, "div"),
    Planted(
        script="own_optimizer",
        step=3,
        phase="optimizer",
        symptom="parameter",
        function="div",
        replayed=CHILD,
    ),
    Planted(script="batchnorm_buffer", step=3, phase="forward", symptom="buffer", function="batch_norm"),
    forward("trainer", 2, "log", target=("-m", "trainer.train"), origin_in="trainer/losses.py"),
    forward("manual_sgd", 5, "atanh", replayed=EITHER),
    backward("manual_autograd_grad", 4, "sqrt", replayed=EITHER),
    forward("lbfgs", 1, "log", replayed=EITHER),
    backward("adam_closure", 4, "asin"),
    forward("two_losses", 8, "erfinv"),
    backward("zero_grad_keep", 4, "acosh"),
    forward("checkpoint_forward", 5, "log"),
    backward("checkpoint_backward", 3, "sqrt"),
    backward("checkpoint_reentrant", 4, "pow"),
    forward("compiled", 3, "log"),
    forward("compiled_only", 4, "log", replayed=EITHER, cause="compiled_only"),
    forward("ema", 6, "log2"),
    backward("mean_teacher", 5, "sqrt", replayed=EITHER),
    forward("averaged_model", 6, "log"),
    backward("frozen", 4, "sqrt"),
    backward("sparse_embedding", 10, "sqrt"),
    forward("complex_weights", 4, "log"),
    Planted(script="empty_group", step=6, phase="backward", symptom="gradient", function="logit"),
    backward("rebuilt", 9, "sqrt"),
    forward("to_float64", 8, "exp"),
    forward("workers_spawn", 3, "sqrt"),
    forward("prefetch_generator", 5, "div", replayed=CHILD),
    forward("prefetch_thread", 6, "reciprocal", replayed=CHILD),
    forward("iterable_dataset", 7, "lgamma"),
    forward("nested_inner", 9, "log10"),
    forward("nested_outer", 11, "reciprocal", replayed=EITHER),
    forward("eval_inside", 6, "log"),
    forward("subclass", 4, "log"),
    backward("all_together", 10, "sqrt"),
    forward("skipped", 4, "div"),
    forward("amp_backoff", 9, "log"),
    forward("amp_forward_overflow", 6, "mul", cause="half_overflow"),
    backward("amp_thrash", 6, "sqrt", replayed=EITHER, cause="root_gradient_at_zero"),
    forward("amp_fused", 23, "div"),
    backward("amp_unscale_clip", 5, "acos", replayed=EITHER),
]
SLOW = {"compiled"}  # inductor calls a C++ compiler
# Their kinds are among the others: another optimizer, operation or container in the same kind of loop.
LONG = {
    "adam_closure", "adamw", "adamw_fused", "amp_backoff", "amp_thrash", "argparse_main", "attention_mask",
    "batchnorm_dropout", "checkpoint_backward", "checkpoint_forward", "compiled_only", "complex_weights",
    "dict_batches", "drawn_torch", "ema", "empty_group", "frozen", "gan_discriminator", "islice_last",
    "manual_autograd_grad", "nested_inner", "persistent_workers", "prefetch_generator", "skipped", "subclass",
    "to_float64", "two_losses", "workers_spawn", "zero_grad_keep",
}  # fmt: skip

KEYS = {
    "schema": int,
    "step": int,
    "rank": int,
    "phase": str,
    "symptom": dict,
    "origin": dict,
    "chain": list,
    "cause": dict,
    "causes": list,
    "reproduced": bool,
    "experiments": list,
    "advice": list,
    "capsule": (str, type(None)),
    "report": str,
}
ORIGIN_KEYS = {"op", "function", "file", "line", "source", "module", "samples", "term", "inputs", "outputs"}
CAUSE_KEYS = {"class", "code", "family", "text", "evidence", "confidence"}
FAMILIES = {
    *("domain", "range", "gradient_singularity", "reduction", "data", "dynamics", "precision"),
    *("distributed", "masking", "state", "hardware"),
}


def marked_line(path: Path) -> int:
    """The number of the one line that ends with `# origin`."""
    lines = [n for n, line in enumerate(path.read_text().splitlines(), start=1) if ORIGIN.search(line)]
    assert len(lines) == 1, f"{path} marks {len(lines)} lines as the origin"
    return lines[0]


def test_every_script_has_its_truth(scripts: Path) -> None:
    """No script lies there without being run."""
    helpers = {"final_state"}
    present = {p.stem for p in scripts.glob("*.py")} | {p.parent.name for p in scripts.glob("*/__init__.py")}
    assert len(PLANTED) == 61
    assert len(LONG & {planted.script for planted in PLANTED}) == len(LONG) == 29
    assert {planted.script for planted in PLANTED} == present - helpers


def rows() -> list[Any]:
    """Every row under the name of its script; one of each kind in every run of the tests."""
    return tables.rows(
        PLANTED,
        always=[p for p in PLANTED if p.script not in LONG],
        slow=[p for p in PLANTED if p.script in SLOW],
    )


@pytest.mark.parametrize("planted", rows())
def test_planted_fault(planted: Planted, scripts: Path, planted_run: Callable[..., Path]) -> None:
    """Stopped at the right step with status 3, replayed to the bit, and the origin is the marked line."""
    out = planted_run(*(planted.target or (f"{planted.script}.py",)))
    incident = json.loads((out / "incident.json").read_text())
    assert_contract(incident, out)
    place = scripts / planted.place
    origin = incident["origin"]
    assert {
        "step": incident["step"],
        "symptom": incident["symptom"]["kind"],
        "reproduced": incident["reproduced"],
        "file": (scripts / origin["file"]).resolve(),
        "line": origin["line"],
        "function": origin["function"],
        "phase": incident["phase"],
    } == {
        "step": planted.step,
        "symptom": planted.symptom,
        "reproduced": True,
        "file": place,
        "line": marked_line(place),
        "function": planted.function,
        "phase": planted.phase,
    }
    assert origin["source"] == place.read_text().splitlines()[origin["line"] - 1].strip()
    assert incident["how_replayed"].startswith(planted.replayed)
    assert planted.cause in ("", incident["cause"]["class"])


def assert_contract(incident: dict[str, Any], out: Path) -> None:
    """Every key that other programs rely on, with its type, and the files beside it."""
    assert [key for key in KEYS if not isinstance(incident.get(key), KEYS[key])] == []
    assert set(incident) >= set(KEYS)
    assert incident["schema"] == 1
    assert incident["rank"] == 0
    assert {"kind", "name"} <= incident["symptom"].keys()
    assert set(incident["origin"]) >= ORIGIN_KEYS
    assert incident["chain"]
    assert set(incident["cause"]) >= CAUSE_KEYS
    assert incident["causes"][0] == incident["cause"]
    assert {cause["family"] for cause in incident["causes"]} <= FAMILIES
    assert all(re.fullmatch(r"EK2\d\d", cause["code"]) for cause in incident["causes"])
    assert incident["advice"]
    assert all({"text", "verified_by", "diff"} <= advice.keys() for advice in incident["advice"])
    assert (out / "report.html").stat().st_size > 1000
