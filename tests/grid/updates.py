"""Programs whose update is at fault, or what it adds to: they are traced in a child process, from the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.grid.fault import THREE

BEGIN = """
import sys
sys.path.insert(0, {folder!r})
import torch
from models import MODELS
"""
MODEL = """
torch.manual_seed(0)
model = MODELS[{model!r}]()
"""
CENTRED = """
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.5, centered={centred})
slopes = [100 * torch.rand_like(p) for p in model.parameters()]
for step in range(40):
    loss = sum((p * slope).sum() for p, slope in zip(model.parameters(), slopes))
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
IN_HALF = """
model = model.half()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps={eps})
for step in range(4):
    loss = 0.01 * model(torch.randn(16, 6).half()).float().square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
LOADED = """
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
saved = optimizer.state_dict()
for index, p in enumerate(model.parameters()):
    saved["state"][index] = {{
        "step": torch.tensor(100.0), "exp_avg": torch.full_like(p, {value}), "exp_avg_sq": torch.ones_like(p)
    }}
optimizer.load_state_dict(saved)
for step in range(3):
    loss = model(torch.randn(16, 6)).square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
NORMED = """
class Normed(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            p.sub_(1e-3 * p.grad / p.grad.norm())

optimizer = Normed(model.parameters(), {{}})
for step in range(4):
    margin = {margin} if step == 2 else 2.0  # of a hinge: met by each sample, it gives no gradient
    size = sum(p.square().sum() for p in model.parameters())
    loss = torch.relu(margin - model(torch.randn(16, 6))).mean() + {decay} * size
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
KEPT = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for step in range(250):
    loss = model(torch.randn(4, 6)).mean() + sum(p.square().sum() for p in model.parameters())
    {clear}; loss.backward(); optimizer.step()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A program, what is bad and what is good in it, and what is to be said."""

    name: str
    program: str
    bad: dict[str, object]
    good: dict[str, object]
    cause: str
    phase: Literal["forward", "optimizer", "state"]
    models: tuple[str, ...] = THREE
    precisions: tuple[str, ...] = ("float32",)


UPDATES = [
    Update(
        name="centred", program=CENTRED, bad={"centred": True}, good={"centred": False},
        cause="centred_second_moment", phase="optimizer",
    ),
    Update(
        name="in half", program=IN_HALF, bad={"eps": 1e-8}, good={"eps": 1e-3},
        cause="optimizer_eps_in_half", phase="optimizer", precisions=("float16",),
    ),
    Update(
        name="loaded", program=LOADED, bad={"value": "float('nan')"}, good={"value": 0.0},
        cause="poisoned_optimizer_state", phase="state",
    ),
    Update(
        name="normed", program=NORMED, bad={"margin": 0.5, "decay": 0.0}, good={"margin": 0.5, "decay": 1e-3},
        cause="optimizer_update", phase="optimizer",
    ),
    Update(
        name="kept", program=KEPT, bad={"clear": "pass"}, good={"clear": "optimizer.zero_grad()"},
        cause="gradients_never_cleared", phase="forward", models=("perceptron", "recurrent", "graph"),
    ),
]  # fmt: skip
