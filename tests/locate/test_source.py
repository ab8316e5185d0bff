from __future__ import annotations

import functools
import json
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from evenkeel.locate import source, trace
from evenkeel.locate.record import Record
from evenkeel.locate.source import Sight, owner_of, running_line
from evenkeel.locate.trace import Trace


@pytest.mark.parametrize(
    ("filename", "owner"),
    [
        (__file__, "user"),
        ("/home/someone/train.py", "user"),
        (torch.__file__, "torch"),
        (F.__file__, "torch"),
        (source.__file__, "observer"),
        (trace.__file__, "observer"),
        (pytest.__file__, "library"),
        (json.__file__, "library"),
        (str(Path(sysconfig.get_path("purelib")) / "transformers" / "trainer.py"), "library"),
        ("/elsewhere/lib/python3.12/site-packages/lightning/loops.py", "library"),
        ("<string>", "library"),
        ("<frozen importlib._bootstrap>", "library"),
        ("<stdin>", "user"),
        ("<ipython-input-3-abc>", "user"),
    ],
)
def test_owner_of_a_file(filename: str, owner: str) -> None:
    """Whose line is it?"""
    assert owner_of(filename) == owner


def test_running_line_is_the_one_that_asks() -> None:
    """Called from a user's line directly."""
    sight = running_line()  # here
    assert sight.place is not None
    assert (sight.place.file, sight.place.scope) == (__file__, "test_running_line_is_the_one_that_asks")
    assert sight.place.source == "sight = running_line()  # here"
    assert (sight.api, sight.in_engine) == ("", False)


def traced(call: Callable[[], object]) -> dict[str, Record]:
    """Every operation of a call, by its name."""
    with Trace(lambda: "") as mode:
        mode.begin()
        call()
    return {record.op: record for record in mode.records}


@pytest.mark.parametrize(
    ("call", "operation", "api"),
    [
        (lambda x: F.cross_entropy(x, torch.tensor([0, 1])), "aten.nll_loss_forward.default", "cross_entropy"),
        (lambda x: F.cross_entropy(x, torch.tensor([0, 1])), "aten._log_softmax.default", "cross_entropy"),
        (lambda x: torch.nn.CrossEntropyLoss()(x, torch.tensor([0, 1])), "aten._log_softmax.default", "cross_entropy"),
        (torch.norm, "aten.linalg_vector_norm.default", "norm"),
        (lambda x: x.log(), "aten.log.default", ""),
        (lambda x: F.softmax(x, dim=1), "aten._softmax.default", "softmax"),
    ],
)
def test_called_function_is_named(call: Callable[[torch.Tensor], torch.Tensor], operation: str, api: str) -> None:
    """The outermost public function below the user's line."""
    record = traced(lambda: call(torch.ones(2, 3)))[operation]
    assert record.place is not None
    assert record.place.file == __file__
    assert record.api == api


def test_clipping_is_called_by_its_public_name() -> None:
    """Torch wraps some of its functions in private ones; the name that the user wrote is the one in between."""
    parameter = torch.nn.Parameter(torch.ones(3))
    parameter.grad = torch.ones(3)
    records = traced(lambda: torch.nn.utils.clip_grad_norm_([parameter], 1.0))
    assert {record.api for record in records.values()} == {"clip_grad_norm_"}


def test_backward_is_known_by_its_engine() -> None:
    """The line that called backward did not write the operation that runs."""
    x = torch.ones(2, requires_grad=True)
    sights = []

    def noted(gradient: torch.Tensor) -> None:
        sights.append(running_line())

    x.register_hook(noted)
    x.log().sum().backward()
    assert sights[0].place is not None
    assert sights[0].place.scope == "noted"
    assert not sights[0].in_engine
    records = traced(lambda: x.log().sum().backward())  # line
    assert records["aten.div.Tensor"].phase == "backward"
    assert records["aten.div.Tensor"].place == records["aten.log.default"].place


def test_line_of_a_library_when_no_user_is_there(tmp_path: Path) -> None:
    """A program that lives among the installed packages has no file of the user's."""
    package = tmp_path / "site-packages" / "planted"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf8")
    (package / "__main__.py").write_text(
        "from evenkeel.locate.source import running_line\nprint(running_line().place.file)\n", encoding="utf8"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_module('planted')",
         str(package.parent)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(package / "__main__.py")


def test_engine_thread_is_told_from_a_backward_that_somebody_wrote() -> None:
    """On an accelerator backward runs in threads of the engine, where no line of the user's called."""
    seen = []
    thread = threading.Thread(target=functools.partial(_look, seen))
    thread.start()
    thread.join()
    assert seen[0].place.scope == "_look"  # a backward written by the user, in such a thread
    assert not seen[0].in_engine
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(running_line, only_inside_backward=True).result().in_engine


def _look(seen: list[Sight]) -> None:
    seen.append(running_line(only_inside_backward=True))
