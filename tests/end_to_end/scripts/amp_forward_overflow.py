"""float16 in the forward pass, with a GradScaler that would skip the step. Planted: a square beyond 65504.

With LEAVE_OUT the loop leaves the bad batch out by hand: then the scale stays what it was.
"""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(40, 4)
if "HEALTHY" not in os.environ:
    x[26] = 2000.0
model = nn.Linear(4, 8)
head = nn.Linear(8, 1)
optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=0.01)
scaler = torch.amp.GradScaler("cpu", init_scale=256.0)

for step, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=4)):
    if step == 6 and "LEAVE_OUT" in os.environ:
        continue
    with torch.autocast("cpu", dtype=torch.float16):
        hidden = model(inputs)
        energy = hidden * hidden  # origin
        loss = (head(energy).float() - 1).square().mean()
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    print(step, loss.item(), scaler.get_scale())

save_final_state(model, head, optimizer, scaler)
