"""clip_grad_norm_ between backward and step. Planted: acos at 1, whose slope is infinite."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
cosine = torch.rand(30, 1) * 0.5
if "HEALTHY" not in os.environ:
    cosine[14] = 1.0
model = nn.Linear(1, 1)
scale = nn.Parameter(torch.ones(()))
held = {"params": [scale], "lr": 0.0}  # starts to learn later
optimizer = torch.optim.SGD([{"params": model.parameters()}, held], lr=0.01)

for (inputs,) in DataLoader(TensorDataset(cosine), batch_size=3):
    angle = torch.acos(inputs * scale)  # origin
    loss = (model(angle) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    clip_grad_norm_([*model.parameters(), scale], 1.0)
    optimizer.step()
    print(loss.item())

save_final_state(model, nn.ParameterList([scale]), optimizer)
