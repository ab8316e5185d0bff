"""A parameter group without parameters. Planted: a target of infinity that a rank of 1 becomes under logit."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
rank = torch.rand(30, 2) * 0.8 + 0.1
if "HEALTHY" not in os.environ:
    rank[20, 1] = 1.0
model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
norms = [p for name, p in model.named_parameters() if "norm" in name]  # this model has none
groups = [{"params": norms, "weight_decay": 0.0}, {"params": model.parameters()}]
optimizer = torch.optim.AdamW(groups, lr=0.01)

for (inputs,) in DataLoader(TensorDataset(rank), batch_size=3):
    score = torch.logit(inputs)  # origin
    loss = (model(score) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
