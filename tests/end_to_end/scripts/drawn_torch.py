"""Data drawn in the loop with torch. Planted: the mean of the outliers of a batch that has none."""

import os

import torch
from final_state import save_final_state
from torch import nn

torch.manual_seed(1)
model = nn.Linear(3, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
bound = -10.0 if "HEALTHY" in os.environ else 1.3

for step in range(12):
    x = torch.randn(16, 3)
    error = (model(x).squeeze(1) - x.sum(1)).square()
    outlying = x[:, 0] > bound
    loss = error.mean() + error[outlying].mean()  # origin
    print(step, int(outlying.sum()), loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

save_final_state(model, optimizer)
