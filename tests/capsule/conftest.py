"""A moment of a small training, frozen once."""

from __future__ import annotations

import dataclasses
import math
import random
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

from evenkeel.capsule.freeze import Frozen, freeze
from evenkeel.capsule.manifest import Manifest, Program, Seen
from evenkeel.capsule.moment import Moment
from evenkeel.core.incident import Incident
from evenkeel.core.settings import CapsuleWish
from evenkeel.report.as_json import to_json
from evenkeel.step.snapshot import RandomState
from evenkeel.step.window import HandOut
from evenkeel.tensors.fingerprint import fingerprint

Freeze = Callable[..., Frozen]


def whole(kind: Any) -> Any:  # noqa: ANN401  a type annotation, and a value of it
    """A value with something in every field, however deep."""
    if dataclasses.is_dataclass(kind):
        return kind(**{name: whole(hint) for name, hint in get_type_hints(kind).items()})
    if get_origin(kind) is tuple:
        return tuple(whole(inner) for inner in get_args(kind) if inner is not Ellipsis)
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        return whole(get_args(kind)[0])
    return {str: "word", int: 7, float: math.nan, bool: True}[kind]


@pytest.fixture
def manifest() -> Manifest:
    """Of a step of nobody's program."""
    program = Program(
        target="train.py", as_module=False, arguments=("--lr", "1"), cwd="/nowhere", file=None, sha256=None
    )
    seen = Seen(step=7, kind="loss", names=("loss",), fingerprint=fingerprint([torch.ones(2)]), is_glimpse=False)
    return Manifest(
        begin="state",
        why="",
        program=program,
        seen=seen,
        step=7,
        rank=0,
        world_size=1,
        environment=(("torch", "2.0"), ("threads", "1")),
        num_threads=1,
        updater=0,
        num_updates_before=0,
        random_is_current=True,
        cleared_to="none",
    )


@pytest.fixture
def moment() -> Moment:
    """Adam after two updates, with a schedule, a scaler, and a batch in containers."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  the legacy global state is what many scripts draw from
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    for _ in range(2):
        model(torch.randn(4, 3)).square().mean().backward()
        optimizer.step()
        schedule.step()
    batch = {"x": torch.randn(4, 3), "more": [torch.arange(4), ("a", 1, None, 2.5, float("nan"))]}
    start = RandomState.capture()
    random.random()
    return Moment(
        hand_outs=(HandOut.of(("dataset", 1), batch, start), HandOut.of(("dataset", 2), [torch.ones(2)], start)),
        random=RandomState.capture(),
        random_at_start=start,
        tensors={**dict(model.named_parameters()), **dict(model.named_buffers())},
        updaters=(optimizer,),
        schedules=(schedule,),
        scaler=torch.amp.GradScaler("cpu", init_scale=64.0),
    )


@pytest.fixture
def frozen(moment: Moment, manifest: Manifest, tmp_path: Path) -> Freeze:
    """Freeze the moment: `frozen(as_zip=True)`."""

    def write(**wishes: bool) -> Frozen:
        return freeze(moment, manifest, to_json(whole(Incident)), tmp_path, CapsuleWish(**wishes))

    return write
