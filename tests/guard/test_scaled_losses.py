"""Losses that a scaler is given together: its fused optimizer's gradients are the scaler's to judge all the same."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import AdamW

import evenkeel


def test_scale_that_is_too_high_for_a_list_of_losses_is_no_incident(tmp_path: Path) -> None:
    """The scaled loss is 0, the scaled gradients overflow, and the scaler backs off."""
    model = nn.Linear(2, 1)
    optimizer = AdamW(model.parameters(), fused=True)
    scaler = GradScaler("cpu", init_scale=2.0**120)
    guard = evenkeel.Guard(model, optimizer, out=tmp_path / "out")
    for batch in guard.batches([torch.ones(4, 2)] * 4):
        optimizer.zero_grad()
        out = 1e3 * model(batch).sum()
        for product in scaler.scale([out - out.detach()]):
            product.backward()
        scaler.step(optimizer)
        scaler.update()
    guard.finish()
    assert scaler.get_scale() < 2.0**120
    assert guard.incident is None
