"""A GradScaler that halves its scale in vain. Planted: from batch 6 on, the root of 0, whose slope has no scale.

BAD_BATCHES says for how many batches; so few that the scale stays above 1 are the scaler's own business.
"""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
num_bad = 0 if "HEALTHY" in os.environ else int(os.environ.get("BAD_BATCHES", "30"))
x = torch.rand(120, 3) + 0.5
x[24 : 24 + 4 * num_bad : 4] = 0.0
model = nn.Linear(3, 4, bias=False)
head = nn.Linear(1, 1)
optimizer = torch.optim.SGD([*model.parameters(), *head.parameters()], lr=0.01)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
    with torch.autocast("cpu", dtype=torch.float16):
        hidden = model(inputs)
    squared = hidden.float().square().sum(1, keepdim=True)
    length = torch.sqrt(squared)  # origin
    loss = (head(length) - 1).square().mean()
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    print(loss.item(), scaler.get_scale())

save_final_state(model, head, optimizer, scaler)
