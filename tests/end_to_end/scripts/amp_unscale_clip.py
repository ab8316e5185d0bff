"""unscale_, clip_grad_norm_, scaler.step. Planted: from batch 5 on, acos of 1; the scale falls too slowly to tell.

BAD_BATCHES says for how many batches; fewer than 20 in a row are the scaler's own business.
"""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
num_bad = 0 if "HEALTHY" in os.environ else int(os.environ.get("BAD_BATCHES", "30"))
cosine = torch.rand(120, 1) * 0.5
cosine[20 : 20 + 4 * num_bad : 4] = 1e4
model = nn.Sequential(nn.Linear(1, 1), nn.Tanh())
head = nn.Linear(1, 1)
parameters = [*model.parameters(), *head.parameters()]
optimizer = torch.optim.Adam(parameters, lr=0.001)
schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, backoff_factor=0.8)

for (inputs,) in DataLoader(TensorDataset(cosine), batch_size=4):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model(inputs)
    angle = torch.acos(hidden.float())  # origin
    loss = (head(angle) - 1).square().mean()
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    clip_grad_norm_(parameters, 1.0)
    scaler.step(optimizer)
    scaler.update()
    schedule.step()
    print(loss.item(), scaler.get_scale())

save_final_state(model, head, optimizer, scaler, schedule)
