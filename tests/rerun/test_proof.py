"""A patched program proves itself in a child process, or does not; nothing of the user's is written."""

from __future__ import annotations

import math
import os
import py_compile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evenkeel.core.patch import PatchedFile, ProofResult
from evenkeel.rerun.rerun import Rerun

Program = Callable[..., Path]
Start = Callable[..., Rerun]

HEAD = """\
import os, sys, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
assert sys.argv[1:] == ["--lr", "1"] and os.environ["EVENKEEL_RERUN"] == "1"
torch.manual_seed(0)
x = torch.randn(24, 3)
x[9] *= 500  # in step 2
x[13, 1] = 77  # in step 3
model = nn.Linear(3, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
"""
SOFTMAX = (
    HEAD
    + """
for (batch,) in DataLoader(TensorDataset(x), batch_size=4):
    loss = -torch.log(torch.softmax(model(batch), 1)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item(), flush=True)
"""
)
LOG = "torch.log(torch.softmax(model(batch), 1))"
STABLE = "torch.log_softmax(model(batch), 1)"
BY_HAND = (
    HEAD
    + """
del optimizer
for start in range(0, 24, 4):
    loss = -torch.log(torch.softmax(model(x[start : start + 4]), 1)).mean()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients):
            parameter -= RATE * gradient
"""
).replace("RATE", "1e-4")


def patch(file: Path, before: str, after: str) -> PatchedFile:
    """A file in which one text stands for another."""
    text = file.read_text()
    assert text.count(before) == 1
    return PatchedFile(file=str(file), before=text, after=text.replace(before, after))


def prove(rerun: Rerun, step: int, *files: PatchedFile) -> ProofResult:
    """The proof, which has to come about."""
    proof = rerun.prove(files, step)
    assert isinstance(proof, ProofResult), proof
    return proof


def test_the_right_patch_is_healthy_and_a_wrong_one_is_not(program: Program, start: Start, tmp_path: Path) -> None:
    """Both run to their verdict and no further; the script is as it was."""
    script = program(**{"train.py": SOFTMAX}) / "train.py"
    rerun = start()
    proof = prove(rerun, 2, patch(script, LOG, STABLE))
    assert proof.healthy
    assert (proof.first, proof.last, proof.ended, proof.symptom) == (2, 3, False, None)
    assert proof.loss_before == float((tmp_path / "out" / "rerun" / "2-patched" / "output.log").read_text().split()[1])
    assert all(loss is not None and math.isfinite(loss) for loss in proof.losses)
    assert len((tmp_path / "out" / "rerun" / "2-patched" / "output.log").read_text().splitlines()) == 3
    wrong = prove(rerun, 2, patch(script, LOG, LOG.replace("1)", "1) * 1")))
    assert not wrong.healthy
    assert wrong.symptom is not None
    assert (wrong.symptom.kind, wrong.symptom.value, wrong.losses) == ("loss", math.inf, ())
    assert script.read_text() == SOFTMAX
    assert sorted(path.name for path in script.parent.iterdir()) == ["train.py"]


IN_STEP_2 = "batch[1, 0].abs() > 50"
SPEED = "optimizer.param_groups[0]['lr'] = "
UNHEALTHY = {
    "gradient": ((LOG, f"((model(batch) * 0).sqrt() if {IN_STEP_2} else {STABLE})"), "gradient", 0),
    "parameter": (
        (f"loss = -{LOG}.mean()", f"loss = -{STABLE}.mean(); {SPEED} torch.inf if {IN_STEP_2} else 1e-4"),
        "parameter",
        0,
    ),
    "the step after": ((LOG, f"({STABLE} / (0 if batch[1, 1] == 77 else 1))"), "loss", 1),
}


@pytest.mark.parametrize(("change", "kind", "num_healthy"), UNHEALTHY.values(), ids=UNHEALTHY)
def test_everything_is_judged(
    change: tuple[str, str], kind: str, num_healthy: int, program: Program, start: Start
) -> None:
    """A finite loss is not enough, nor is one step: what is only put off is not mended."""
    script = program(**{"train.py": SOFTMAX}) / "train.py"
    proof = prove(start(), 2, patch(script, *change))
    assert proof.symptom is not None
    assert (proof.symptom.kind, len(proof.losses), proof.healthy) == (kind, num_healthy, False)


def test_an_imported_module_of_a_package_run_as_a_module(program: Program, start: Start) -> None:
    """The patched text runs, and is what tracebacks and `inspect` show; the compiled file is not used."""
    losses = "import torch\n\n\ndef nll(logits):\n    return -torch.log(torch.softmax(logits, 1)).mean()\n"
    train = SOFTMAX.replace(f"-{LOG}.mean()", "nll(model(batch))")
    train += "\nraise AssertionError('it should have been stopped')\n"
    shown = "import inspect\nimport trainer.losses\nfrom trainer.losses import nll\n"
    shown += "assert 'log_softmax' in inspect.getsource(nll) and 'log_softmax' in inspect.getsource(trainer.losses)\n"
    files = {"trainer/__init__.py": "", "trainer/losses.py": losses, "trainer/train.py": f"{shown}{train}"}
    directory = program(**files)
    module = directory / "trainer" / "losses.py"
    assert py_compile.compile(str(module)) is not None
    stable = patch(module, "torch.log(torch.softmax(logits, 1))", "logits.log_softmax(1)")
    proof = prove(start("trainer.train"), 2, stable)
    assert proof.healthy
    assert module.read_text() == losses


def test_patch_of_the_module_that_is_run(program: Program, start: Start) -> None:
    """`python -m` finds it as it finds any other."""
    directory = program(**{"trainer/__init__.py": "", "trainer/train.py": SOFTMAX})
    assert prove(start("trainer.train"), 2, patch(directory / "trainer" / "train.py", LOG, STABLE)).healthy


def test_the_script_sees_its_own_name_and_patched_text(program: Program, start: Start) -> None:
    """As for any run; workers that are forked have the patch too."""
    text = SOFTMAX.replace("batch_size=4", "batch_size=4, num_workers=1, multiprocessing_context='fork'")
    text += "\n\ndef own():\n    return 'patched'\n"
    text = text.replace("torch.manual_seed", "import inspect\ntorch.manual_seed").replace("TensorDataset(x)", "Rows(x)")
    text = text.replace(
        "\nfor (batch,)",
        "\nclass Rows(TensorDataset):\n"
        "    def __getitem__(self, index):\n"
        "        assert torch.utils.data.get_worker_info() is not None\n"
        "        assert 'log_softmax' in inspect.getsource(sys.modules['__main__'])\n"
        "        return super().__getitem__(index)\n"
        "assert __file__.endswith('train.py') and sys._getframe().f_code.co_filename == __file__\n"
        "\nfor (batch,)",
    )
    script = program(**{"train.py": text}) / "train.py"
    assert prove(start(), 2, patch(script, LOG, STABLE)).healthy


@pytest.mark.parametrize(
    ("num_rows", "first", "losses", "healthy"),
    [(12, 2, 1, True), (8, 2, 0, False)],
    ids=["after the failing step", "before it"],
)
def test_a_program_that_ends_early(
    num_rows: int, first: int, losses: int, *, healthy: bool, program: Program, start: Start
) -> None:
    """That is told; what was judged counts, and nothing judged is nothing proved."""
    text = SOFTMAX.replace("DataLoader(TensorDataset(x)", f"DataLoader(TensorDataset(x[:{num_rows}])")
    script = program(**{"train.py": text}) / "train.py"
    proof = prove(start(), first, patch(script, LOG, STABLE))
    assert (proof.ended, len(proof.losses), proof.healthy) == (True, losses, healthy)


def test_a_program_that_fails_by_itself(program: Program, start: Start, tmp_path: Path) -> None:
    """With its patch it raises, or exits with a status: the log tells."""
    script = program(**{"train.py": SOFTMAX}) / "train.py"
    rerun = start()
    raised = rerun.prove([patch(script, LOG, "torch.no_such_function(batch)")], 2)
    log = tmp_path / "out" / "rerun" / "2-patched" / "output.log"
    assert raised == f"the patched program did not come through step 2 and the one after it; see {log}"
    assert "no_such_function" in log.read_text()
    assert isinstance(rerun.prove([patch(script, LOG, "sys.exit('no disk left')")], 2), str)


def test_updates_by_hand(program: Program, start: Start) -> None:
    """Each backward is a step, and its update is judged when it has been made."""
    script = program(**{"train.py": BY_HAND}) / "train.py"
    log = "torch.log(torch.softmax(model(x[start : start + 4]), 1))"
    stable = patch(script, log, "torch.log_softmax(model(x[start : start + 4]), 1)")
    rerun = start()
    last = prove(rerun, 5, stable)
    assert (last.healthy, last.first, last.last, last.ended) == (True, 5, 5, True)
    ruined = stable.after.replace("1e-4 * gradient", "(1e-4 if start < 8 else torch.inf) * gradient")
    proof = prove(rerun, 2, PatchedFile(file=stable.file, before=stable.before, after=ruined))
    assert proof.symptom is not None
    assert (proof.symptom.kind, proof.losses) == ("parameter", ())


def test_the_time_limit(program: Program, start: Start) -> None:
    """A child that takes too long is ended; where the run itself took longer, none is started."""
    script = program(**{"train.py": SOFTMAX}) / "train.py"
    stable = patch(script, LOG, STABLE)
    assert start(max_rerun_s=0.5).prove([stable], 2) == "the re-run from the start was ended after 0.5 s"
    never = start(max_rerun_s=0.0).prove([stable], 2)
    assert never == "running again from the start would take longer than the 0 s allowed"


def test_a_file_that_was_changed_meanwhile(program: Program, start: Start) -> None:
    """What ran is no longer what stands there."""
    script = program(**{"train.py": SOFTMAX}) / "train.py"
    rerun = start()
    in_a_minute = time.time() + 60
    os.utime(script, (in_a_minute, in_a_minute))
    assert rerun.prove([patch(script, LOG, STABLE)], 2) == f"{script} was changed after the program had started"
